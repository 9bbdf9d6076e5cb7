"""Formulas of metrics: `+ - * /`, brackets, integers, decimals and names.

`+ - *` of integers are exact; `/` is correctly rounded. A division by 0 makes the whole formula null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

MAX_FORMULA = 500
"""Characters."""
MAX_DEPTH = 30
"""Brackets and minus signs inside each other."""
MAX_DIGITS = 15
"""Digits of a number."""
LARGEST = 2**63
"""Results of this size and more, which JSON readers and Redis do not hold as integers, are null."""

Number: TypeAlias = int | float | None

_TOKEN = re.compile(r"\s*(?:(?P<name>[a-z_][a-z0-9_.]*)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/()]))", re.ASCII)
_ENDS_WITH_OPERAND = "a name, a number or `(`"


class FormulaError(Exception):
    """A formula that cannot be read: what is wrong, where, and the fix."""


class Constant(Struct, frozen=True):
    """A number in a formula."""

    text: str

    @property
    def value(self) -> int | float:
        """An integer without a point, else a float."""
        return float(self.text) if "." in self.text else int(self.text)


class Reference(Struct, frozen=True):
    """The name of a number."""

    name: str


class Negation(Struct, frozen=True):
    """A unary minus."""

    operand: Term


class Operation(Struct, frozen=True):
    """Two operands with one of `+ - * /`."""

    sign: str
    left: Term
    right: Term


Term: TypeAlias = Constant | Reference | Negation | Operation
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_UNARY = 3


class Formula(Struct, frozen=True):
    """A parsed formula."""

    root: Term

    def __str__(self) -> str:
        return _text(self.root, str)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name in it once, in order of appearance."""
        return tuple(dict.fromkeys(_names(self.root)))

    def compiled(self) -> Callable[[Mapping[str, int]], Number]:
        """The function from numbers by name, which must have all `names`, to the result; None after a division by 0."""
        return compile_source(f"lambda numbers: {self.expression(lambda name: f'numbers[{name!r}]')}")

    def expression(self, variable: Callable[[str], str]) -> str:
        """Python for the value; `variable` gives the expression of each name."""
        match self.root:
            case Reference(name):
                return variable(name)
            case Operation("/", Reference(above), Reference(below)):
                return f"{variable(above)} / {variable(below)} if {variable(below)} else None"
        source = self.source(variable)
        return source if self._adds_names_only else f"bounded(lambda: {source})"

    def source(self, variable: Callable[[str], str]) -> str:
        """Python for the value, which raises ZeroDivisionError; `variable` gives the expression of each name."""
        return _text(self.root, variable)

    @property
    def _adds_names_only(self) -> bool:
        match self.root:
            case Operation("+" | "-", Reference(), Reference()):
                return True
        return False

    def weights(self) -> Mapping[str, int] | None:
        """# <name: integer multiple of it in the sum that the formula is>; None if it is no such sum"""
        return _weights(self.root)


def compile_source(source: str) -> Callable[[Mapping[str, int]], Number]:
    """Evaluate Python made by this module. Names of a file are in it only after the parser has accepted them."""
    compiled: Callable[[Mapping[str, int]], Number] = eval(source, {"bounded": bounded})
    return compiled


def bounded(compute: Callable[[], int | float]) -> Number:
    """The result; None after a division by 0, or where it is too large or undefined."""
    try:
        result = compute()
    except (ZeroDivisionError, OverflowError):
        return None
    return result if -LARGEST < result < LARGEST else None


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        FormulaError: for anything but names, numbers, `+ - * /` and brackets.

    >>> str(parse_formula("(a+b) / (2*-c)")), parse_formula("(a+b) / a").names
    ('(a + b) / (2 * -c)', ('a', 'b'))
    """
    if len(text) > MAX_FORMULA:
        raise FormulaError(f"the formula has {len(text)} characters, at most {MAX_FORMULA} are allowed: split it")
    parser = _Parser(text)
    root = parser.sum(0)
    parser.expect_end()
    return Formula(root)


class _Parser:
    """Recursive descent: sum = product (+|- product)*, product = factor (*|/ factor)*."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def _next(self) -> tuple[str, str]:
        """(kind, text) of the next token; both are empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def sum(self, depth: int) -> Term:
        return self._chain("+-", self._product, depth)

    def _product(self, depth: int) -> Term:
        return self._chain("*/", self._factor, depth)

    def _chain(self, signs: str, operand: Callable[[int], Term], depth: int) -> Term:
        left = operand(depth)
        while (sign := self._next()[1]) and sign in signs:
            self._at += 1
            left = Operation(sign, left, operand(depth))
        return left

    def _factor(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise FormulaError(f"brackets and minus signs are nested more than {MAX_DEPTH} deep: simplify the formula")
        kind, text = self._next()
        self._at += 1
        if kind == "name":
            return Reference(text)
        if kind == "number":
            if len(text.replace(".", "")) > MAX_DIGITS:
                raise FormulaError(f"{text} has more than {MAX_DIGITS} digits: round it")
            return Constant(text)
        if text == "-":
            return Negation(self._factor(depth + 1))
        if text == "(":
            inner = self.sum(depth + 1)
            if self._next()[1] != ")":
                raise FormulaError(f"a `(` is not closed {self._before()}: add `)`")
            self._at += 1
            return inner
        found = f"`{text}` is" if text else "the formula ends"
        raise FormulaError(f"{found} where {_ENDS_WITH_OPERAND} is expected")

    def expect_end(self) -> None:
        _, text = self._next()
        if text:
            raise FormulaError(f"`{text}` follows where an operator is expected: write `+ - * /` before it")

    def _before(self) -> str:
        text = self._next()[1]
        return f"before `{text}`" if text else "at the end"


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormulaError(
                f"`{text[at:].strip()[0]}` is not allowed: a formula has lower-case names, numbers, `+ - * /` and "
                "brackets"
            )
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return tokens


def _text(term: Term, variable: Callable[[str], str], above: int = 0) -> str:
    """The term with the brackets that it needs below an operator of precedence `above`."""
    match term:
        case Constant(text):
            return text.lstrip("0") or "0" if "." not in text else text
        case Reference(name):
            return variable(name)
        case Negation(operand):
            return f"-{_text(operand, variable, _UNARY)}"
        case Operation(sign, left, right):
            own = _PRECEDENCE[sign]
            text = f"{_text(left, variable, own - 1)} {sign} {_text(right, variable, own)}"
            return f"({text})" if own <= above else text


def _names(term: Term) -> list[str]:
    match term:
        case Reference(name):
            return [name]
        case Negation(operand):
            return _names(operand)
        case Operation(_, left, right):
            return [*_names(left), *_names(right)]
    return []


def _weights(term: Term) -> dict[str, int] | None:
    match term:
        case Reference(name):
            return {name: 1}
        case Negation(operand):
            return _scaled(_weights(operand), -1)
        case Operation("+" | "-" as sign, left, right):
            of_left, of_right = _weights(left), _scaled(_weights(right), 1 if sign == "+" else -1)
            if of_left is None or of_right is None:
                return None
            return {name: of_left.get(name, 0) + of_right.get(name, 0) for name in {**of_left, **of_right}}
        case Operation("*", Constant() as factor, other) | Operation("*", other, Constant() as factor):
            return _scaled(_weights(other), factor.value) if isinstance(factor.value, int) else None
    return None


def _scaled(weights: dict[str, int] | None, factor: int) -> dict[str, int] | None:
    return None if weights is None else {name: factor * weight for name, weight in weights.items()}

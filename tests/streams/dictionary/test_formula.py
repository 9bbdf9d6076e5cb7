"""Formulas: exact integers, null over 0, and what is refused."""

from __future__ import annotations

import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dictionary.formula import FormulaError, parse_formula

NUMBERS = {"a": 7, "b": 2, "zero": 0, "huge": 2**62}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a - b - 1", 4),
        ("a - (b - 1)", 6),
        ("a + b * 3", 13),
        ("(a + b) * 3", 27),
        ("-a + b", -5),
        ("a / b", 3.5),
        ("a / b / b", 1.75),
        ("a / (b / b)", 7.0),
        ("0.5 * a", 3.5),
        ("a / zero", None),
        ("b + 1 / (a - 7)", None),
        ("zero / a", 0.0),
        ("007 * b", 14),
        ("huge + huge", 2**63),
        ("huge * huge", None),
        ("huge * huge * huge * huge * huge / a * 1.5", None),
        ("huge - huge + 1", 1),
    ],
)
def test_values(text: str, expected: float | None) -> None:
    result = parse_formula(text).compiled()(NUMBERS)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the formula ends where a name"),
        ("a +", "the formula ends where a name"),
        ("(a + b", "not closed at the end"),
        ("(a b)", "not closed before `b`"),
        ("a b", "`b` follows where an operator"),
        ("a ** b", "`*` is where a name"),
        ("a % b", "`%` is not allowed"),
        ("__import__('os')", "`'` is not allowed"),
        ("A + b", "`A` is not allowed"),
        ("1234567890123456 * a", "more than 15 digits"),
        ("(" * 31 + "a" + ")" * 31, "nested more than 30 deep"),
        ("a" * 501, "501 characters"),
    ],
)
def test_faults_name_the_place(text: str, part: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert part in str(caught.value)


def test_sums_of_multiples_have_weights() -> None:
    assert parse_formula("gmv - 2 * (refunds - a) * 3").weights() == {"gmv": 1, "refunds": -6, "a": 6}
    assert parse_formula("gmv - 1").weights() is None
    assert parse_formula("gmv / a").weights() is None
    assert parse_formula("0.5 * gmv").weights() is None


def test_a_long_sum_is_read() -> None:
    assert parse_formula("+".join("a" * 250)).compiled()(NUMBERS) == 250 * 7


Tree = tuple[str, object]
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def evaluate(tree: object) -> Fraction | None:
    """The exact value; None after a division by 0."""
    if isinstance(tree, str):
        return Fraction(NUMBERS[tree])
    if isinstance(tree, int):
        return Fraction(tree)
    sign, left, right = tree  # type: ignore[misc]
    above, below = evaluate(left), evaluate(right)
    if above is None or below is None or (sign == "/" and below == 0):
        return None
    return OPERATORS[sign](above, below)


def written(tree: object) -> str:
    if isinstance(tree, str | int):
        return str(tree)
    sign, left, right = tree  # type: ignore[misc]
    return f"({written(left)} {sign} {written(right)})"


TREES = st.recursive(
    st.one_of(st.sampled_from(["a", "b", "zero"]), st.integers(0, 9)),
    lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner),
    max_leaves=8,
)


@given(TREES)
def test_random_formulas_equal_fractions(tree: object) -> None:
    formula = parse_formula(written(tree))
    result, expected = formula.compiled()(NUMBERS), evaluate(tree)
    assert parse_formula(str(formula)).compiled()(NUMBERS) == result
    if expected is None:
        assert result is None
    else:
        assert result == pytest.approx(float(expected), rel=1e-12, abs=1e-9)

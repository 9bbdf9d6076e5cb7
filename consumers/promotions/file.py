"""Reads promotion definitions from YAML (`docs/promotions.md`) and reports every error with its line.

The contract's model validates each definition. Before it, fields are read one by one, with checks that only concern
files: unknown names, phases outside the promotion, targets in the wrong order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import available_timezones

from pydantic import ValidationError

from consumers.contract.events import MAX_MESSAGE_BYTES, Promotion
from consumers.promotions.yaml_lines import (
    FileError,
    YamlError,
    YamlList,
    YamlMapping,
    YamlNode,
    YamlNull,
    YamlScalar,
    nearest_line,
    parse_yaml,
    walk_lines,
)
from consumers.times import parse_time_ms
from consumers.validation_messages import validation_message

_OVERLAP = "phases_may_overlap"
"""Allows overlapping phases. A field of the file only; it is not written to the topic."""
_FIELDS = (*Promotion.model_fields, _OVERLAP)
_TIMES = ("starts_at", "ends_at")
_TIERS = ("base", "sprint", "challenge")
_TIME = "write local time such as 2026-11-11 00:00, ISO 8601 with an offset, or epoch ms"
_MONEY = "write whole minor units (cents, fen), such as 80_000_000 for 800,000.00"
_HINTS = {
    "promotion_id": "write the id that events have in promotion_id",
    "name": "write its display name",
    "timezone": "write an IANA name such as Asia/Shanghai",
    **dict.fromkeys(_TIMES, _TIME),
    **dict.fromkeys(_TIERS, _MONEY),
}

NodeKind = TypeVar("NodeKind", YamlList, YamlMapping)


@dataclass(frozen=True, slots=True)
class PromotionFile:
    """The content of a file; unusable if it has any error."""

    promotions: tuple[Promotion, ...] = ()
    errors: tuple[FileError, ...] = ()


def read_promotions(text: str) -> PromotionFile:
    """The promotions of a file in its order, or all errors; never raises for the file's content."""
    try:
        root = parse_yaml(text)
    except YamlError as error:
        return PromotionFile(errors=(FileError(error.line, str(error)),))
    errors: list[FileError] = []
    promotions: list[Promotion] = []
    lines: dict[str, int] = {}  # promotion_id: line of its definition
    for node in _definitions(root, errors):
        promotion = _DefinitionReader(node, errors).read()
        if promotion is None:
            continue
        if promotion.promotion_id in lines:
            message = f"promotion {promotion.promotion_id!r} is already defined on line {lines[promotion.promotion_id]}"
            errors.append(FileError(node.line, f"{message}: remove one"))
        lines.setdefault(promotion.promotion_id, node.line)
        promotions.append(promotion)
    return PromotionFile(tuple(promotions), tuple(sorted(errors, key=lambda error: error.line)))


def encode_promotion(promotion: Promotion) -> bytes:
    """The definition as a message of the topic."""
    return promotion.model_dump_json(exclude_none=True).encode()


def _definitions(root: YamlNode, errors: list[FileError]) -> Sequence[YamlMapping]:
    """The mapping of each promotion: from a list under `promotions`, a bare list, or the file's only mapping."""
    listed: YamlNode = root
    if isinstance(root, YamlMapping) and "promotions" in root.values:
        listed = root.values["promotions"]
        errors += (
            FileError(root.lines[name], f"`{name}` beside `promotions`: move it into a promotion, or remove it")
            for name in root.values
            if name != "promotions"
        )
    elif isinstance(root, YamlMapping):
        listed = YamlList(root.line, (root,))
    if not isinstance(listed, YamlList) or not listed.items:
        errors.append(FileError(listed.line, "no promotions: write a list of them under `promotions:`"))
        return ()
    others = [item for item in listed.items if not isinstance(item, YamlMapping)]
    errors += (FileError(item.line, "not a promotion: write its fields as `name: value`") for item in others)
    return [item for item in listed.items if isinstance(item, YamlMapping)]


class _DefinitionReader:
    """Reads one promotion, and adds errors to the file's list."""

    def __init__(self, node: YamlMapping, errors: list[FileError]) -> None:
        self._node = node
        self._errors = errors
        self._timezone = ""

    def read(self) -> Promotion | None:
        """The definition; None if it has an error."""
        node, errors_before = self._node, len(self._errors)
        self._check_names(node, _FIELDS)
        self._timezone = self._zone()
        fields: dict[str, Any] = {
            "promotion_id": self._text(node, "promotion_id"),
            "name": self._text(node, "name"),
            "baseline": self._text(node, "baseline", required=False),
            "timezone": self._timezone,
            **{name: self._moment(node, name) for name in _TIMES},
            "phases": self._phases(),
            "targets": self._targets(),
            "skus": self._skus(),
        }
        overlap = self._text(node, _OVERLAP, required=False)
        if overlap not in (None, "true", "false"):
            self._add_error(node.values[_OVERLAP], f"`{_OVERLAP}` is {overlap!r}: write true or false")
        self._check_times(fields, overlap == "true")
        if len(self._errors) > errors_before:
            return None
        promotion = self._validated({name: given for name, given in fields.items() if given is not None})
        return promotion if len(self._errors) == errors_before else None

    def _check_names(self, node: YamlMapping, names: Sequence[str]) -> None:
        for name in node.values:
            if name not in names:
                close = get_close_matches(name, names, 1)
                hint = f"do you mean `{close[0]}`?" if close else f"the fields are {', '.join(names)}"
                self._errors.append(FileError(node.lines[name], f"there is no field `{name}`: {hint}"))

    def _get(self, node: YamlMapping, name: str, required: bool) -> YamlNode | None:
        """The value of a field; null means absent."""
        value = node.values.get(name)
        if value is not None and not isinstance(value, YamlNull):
            return value
        if required:
            self._errors.append(FileError(node.lines.get(name, node.line), f"`{name}` is missing: {_HINTS[name]}"))
        return None

    def _text(self, node: YamlMapping, name: str, *, required: bool = True) -> str | None:
        value = self._get(node, name, required)
        if value is None or isinstance(value, YamlScalar):
            return None if value is None else value.text
        self._add_error(value, f"`{name}` is a list or a mapping: {_HINTS.get(name, 'write one value')}")
        return None

    def _nested(self, name: str, kind: type[NodeKind], fix: str) -> NodeKind | None:
        """A list or mapping of the promotion; None if it is absent or anything else."""
        value = self._get(self._node, name, required=False)
        if value is None or isinstance(value, kind):
            return value
        self._add_error(value, f"`{name}` is not a {'list' if kind is YamlList else 'mapping'}: {fix}")
        return None

    def _zone(self) -> str:
        """The time zone; UTC for an invalid one, so that times can still be read."""
        name = self._text(self._node, "timezone")
        if name is None or name in available_timezones():
            return name or "UTC"
        close = get_close_matches(name, available_timezones(), 1)
        hint = f"do you mean {close[0]}?" if close else _HINTS["timezone"]
        self._add_error(self._node.values["timezone"], f"`timezone` {name!r} is not an IANA time zone: {hint}")
        return "UTC"

    def _moment(self, node: YamlMapping, name: str) -> int | None:
        if (text := self._text(node, name)) is None:
            return None
        try:
            return parse_time_ms(text, self._timezone)
        except ValueError as error:
            self._add_error(node.values[name], f"`{name}`: {error}")
            return None

    def _money(self, node: YamlMapping, name: str) -> int | None:
        if (text := self._text(node, name)) is None:
            return None
        digits = text.replace("_", "")
        if digits.isascii() and digits.isdecimal():
            return int(digits[:20])
        self._add_error(node.values[name], f"`{name}` is {text!r}: {_HINTS[name]}")
        return None

    def _phases(self) -> list[dict[str, Any]] | None:
        value = self._nested("phases", YamlList, "write one of {name, starts_at, ends_at}")
        if value is None:
            return None
        phases = []
        for item in value.items:
            if not isinstance(item, YamlMapping):
                self._add_error(item, "not a phase: write name, starts_at and ends_at")
                continue
            self._check_names(item, ("name", *_TIMES))
            times = {name: self._moment(item, name) for name in _TIMES}
            phases.append({"name": self._text(item, "name"), **times})
        return phases

    def _targets(self) -> dict[str, int | None] | None:
        value = self._nested("targets", YamlMapping, "write {base: …, sprint: …, challenge: …}")
        if value is None:
            return None
        self._check_names(value, _TIERS)
        targets = {tier: self._money(value, tier) for tier in _TIERS}
        for (low, least), (high, most) in pairwise(targets.items()):
            if least is not None and most is not None and least > most:
                message = f"`{high}` ({most:,}) is less than `{low}` ({least:,}): base <= sprint <= challenge must hold"
                self._add_error(value.values[high], message)
        return targets

    def _skus(self) -> list[str] | None:
        value = self._nested("skus", YamlList, "write [s-1, s-2], or one per line after a dash")
        if value is None:
            return None
        lines: dict[str, int] = {}
        for item in value.items:
            if not isinstance(item, YamlScalar):
                self._add_error(item, "not a SKU: write its id")
            elif item.text in lines:
                self._add_error(item, f"SKU {item.text!r} is already on line {lines[item.text]}: remove one")
            else:
                lines[item.text] = item.line
        return list(lines)

    def _check_times(self, fields: Mapping[str, Any], overlap: bool) -> None:
        """Check that phases are inside the promotion and do not overlap (unless allowed); skips unreadable times."""
        periods = [(fields, self._node), *zip(fields["phases"] or (), self._phase_nodes(), strict=True)]
        readable = [(period, node) for period, node in periods if None not in (period["starts_at"], period["ends_at"])]
        for period, node in readable:
            if period["ends_at"] <= period["starts_at"]:
                self._add_error(node.values["ends_at"], "`ends_at` is not after `starts_at`: write a later time")
        phases = [pair for pair in readable if pair[0] is not fields]
        if len(phases) < len(readable):  # the promotion's own times are known
            for phase, node in phases:
                if phase["starts_at"] < fields["starts_at"] or phase["ends_at"] > fields["ends_at"]:
                    relation = "begins before" if phase["starts_at"] < fields["starts_at"] else "ends after"
                    self._add_error(node, f"phase {phase['name']!r} {relation} its promotion: keep it inside")
        in_time = sorted(phases, key=lambda pair: (pair[0]["starts_at"], pair[0]["ends_at"]))
        for (first, _), (second, node) in pairwise(in_time):
            if second["starts_at"] < first["ends_at"] and not overlap:
                message = f"phase {second['name']!r} begins before {first['name']!r} ends"
                self._add_error(node, f"{message}: change the times, or set `{_OVERLAP}: true`")

    def _phase_nodes(self) -> list[YamlMapping]:
        node = self._node.values.get("phases")
        return [item for item in node.items if isinstance(item, YamlMapping)] if isinstance(node, YamlList) else []

    def _validated(self, fields: dict[str, Any]) -> Promotion | None:
        try:
            promotion = Promotion.model_validate(fields)
        except ValidationError as error:
            lines = dict(walk_lines(self._node))
            for details in error.errors(include_url=False):
                name = ".".join(map(str, details["loc"])) or "promotion"
                line = nearest_line(lines, details["loc"])
                self._errors.append(FileError(line, f"`{name}`: {validation_message(details)}"))
            return None
        if promotion.baseline == promotion.promotion_id:
            self._add_error(self._node.values["baseline"], "`baseline` is the promotion itself: name an earlier one")
        size = len(encode_promotion(promotion))
        if size > MAX_MESSAGE_BYTES:
            message = f"the definition has {size:,} bytes, more than {MAX_MESSAGE_BYTES:,}: shorten it"
            self._add_error(self._node, message)
        return promotion

    def _add_error(self, node: YamlNode, message: str) -> None:
        self._errors.append(FileError(node.line, message))

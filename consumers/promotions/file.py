"""Reads promotion definitions from YAML and reports every error with its line.

    promotions:
      - promotion_id: d11-2026
        name: Double Eleven 2026
        timezone: Asia/Shanghai
        starts_at: 2026-11-10 20:00
        ends_at: 2026-11-12 00:00
        phases:
          - {name: opening, starts_at: 2026-11-10 20:00, ends_at: 2026-11-11 02:00}
        targets: {base: 80000000, sprint: 100000000, challenge: 120000000}
        skus: [s-00001, s-00002]
        baseline: d11-2025

The contract's model validates each definition; checks that only concern files (unknown names, phases outside the
promotion, targets in the wrong order) are here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.contract.events import Promotion
from consumers.promotions.definition import DefinitionReader, FileError
from consumers.promotions.yaml_lines import YamlError, YamlList, YamlMapping, YamlNode, parse_yaml


@dataclass(frozen=True, slots=True)
class PromotionFile:
    """The content of a file; unusable if it has any error."""

    promotions: tuple[Promotion, ...] = ()
    errors: tuple[FileError, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """# promotion_id: line of its definition"""


def read_promotions(text: str) -> PromotionFile:
    """The promotions of a file in its order, or all errors; never raises for the file's content."""
    try:
        root = parse_yaml(text)
    except YamlError as error:
        return PromotionFile(errors=(FileError(error.line, str(error)),))
    errors: list[FileError] = []
    promotions: list[Promotion] = []
    lines: dict[str, int] = {}
    for node in _definitions(root, errors):
        promotion = DefinitionReader(node, errors).read()
        if promotion is None:
            continue
        if promotion.promotion_id in lines:
            message = f"promotion {promotion.promotion_id!r} is already defined on line {lines[promotion.promotion_id]}"
            errors.append(FileError(node.line, f"{message}: remove one"))
        lines.setdefault(promotion.promotion_id, node.line)
        promotions.append(promotion)
    return PromotionFile(tuple(promotions), tuple(sorted(errors, key=lambda fault: fault.line)), lines)


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
    wrong = [item for item in listed.items if not isinstance(item, YamlMapping)]
    errors += (FileError(item.line, "not a promotion: write its fields as `name: value`") for item in wrong)
    return [item for item in listed.items if isinstance(item, YamlMapping)]

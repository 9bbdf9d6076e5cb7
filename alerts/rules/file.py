"""Read a rule file: YAML to rules, with all errors and their lines."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.rules.rule import Rules
from consumers.promotions.yaml_lines import FileError
from consumers.yaml_models import YamlModelError, read_model


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The content of a rule file; `rules` is None if there are errors."""

    rules: Rules | None
    errors: tuple[FileError, ...] = ()


def read_rules(text: str) -> RuleFile:
    """Read the rules of a file; errors are returned, not raised."""
    try:
        return RuleFile(read_model(text, Rules, items="rules"))
    except YamlModelError as error:
        return RuleFile(None, error.errors)

"""Read a rule file: YAML to rules, with all errors and their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel

from alerts.rules.detect import AnyDetector
from alerts.rules.rule import Budget, PromotionCondition, Rule, RuleOverride, Rules
from consumers.promotions.yaml_lines import FileError
from consumers.yaml_models import YamlModelError, read_model

_MODELS: tuple[type[BaseModel], ...] = (
    *(Rules, Budget, Rule, PromotionCondition, RuleOverride),
    *get_args(AnyDetector),
)
_NAMES = {field.alias or name for model in _MODELS for name, field in model.model_fields.items()}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The content of a rule file; `rules` is None if there are errors."""

    rules: Rules | None
    errors: tuple[FileError, ...] = ()


def read_rules(text: str) -> RuleFile:
    """Read the rules of a file; errors are returned, not raised."""
    try:
        return RuleFile(read_model(text, Rules, items="rules", known_names=_NAMES))
    except YamlModelError as error:
        return RuleFile(None, error.errors)

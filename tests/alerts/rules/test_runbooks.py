"""Every default rule has a runbook, and every runbook a rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts.rules.file import read_rules
from alerts.rules.loader import default_text
from alerts.rules.rule import Rule

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks.md"
RULES = read_rules(default_text()).rules
assert RULES is not None


def sections() -> dict[str, str]:
    """The text under each third-level heading."""
    parts = re.split(r"^### (.+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_rule_links_to_its_runbook(rule: Rule) -> None:
    path, _, anchor = rule.runbook.partition("#")
    assert path == "docs/runbooks.md"
    text = sections()[anchor]
    assert all(f"**{word}**" in text for word in ("Means", "First", "Confirm", "Fix", "Owner"))
    assert rule.name == anchor or f"`{rule.name}`" in text


def test_each_rule_is_in_the_overview() -> None:
    overview = (RUNBOOKS.parent / "alerts.md").read_text().partition("## What is watched")[2].partition("\n## ")[0]
    rules = {rule.name for rule in RULES.rules}
    assert rules == set(re.findall(r"`([a-z-]+)`", overview))


def test_each_runbook_section_has_a_rule() -> None:
    assert set(sections()) == {rule.runbook.partition("#")[2] for rule in RULES.rules}

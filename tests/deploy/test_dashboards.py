"""The dashboards are up to date, and follow the rules of Grafana's dashboard linter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from deploy.grafana.words import Language
from tests.deploy.boards import FOLDER, Target, board, choices, filled, names, panels, targets, variables
from tests.deploy.exposed import known, metrics, named
from tests.deploy.files import recorded

UNITS = {"short", "none", "percentunit", "s", "m", "h", "cps", "bytes", "currencyJPY", "dateTimeAsIso"}
"""The Grafana units in use."""
ALL = [(name, language) for name in names() for language in Language]
OVER_SERVERS = {"ALERTS", "up", *recorded(), *metrics("Workers", "Alerts")}
"""Series of all processes, or without an instance; `$instance` selects servers."""


Write = Callable[..., dict[str, str]]


@pytest.fixture
def written() -> Write:
    """Writes the dashboards."""
    pytest.importorskip("grafana_foundation_sdk")
    from deploy.grafana.build import written

    return written


@pytest.mark.parametrize("language", Language)
def test_committed_dashboards_are_up_to_date(written: Write, language: Language) -> None:
    made = written(language)
    assert {path.stem for path in (FOLDER / language).glob("*.json")} == set(made)
    for name, text in made.items():
        assert (FOLDER / language / f"{name}.json").read_text() == text, "run: python -m deploy.grafana"


def test_money_is_shown_in_the_shops_currency(written: Write) -> None:
    assert '"unit": "currencyEUR"' in written(Language.EN, "EUR")["war-room"]
    assert "currencyJPY" not in written(Language.EN, "EUR")["war-room"]


class TestWarRoom:
    def test_six_tiles_come_first_and_the_first_is_the_age_of_the_data(self) -> None:
        first = board("war-room")["panels"][:7]
        assert [panel["type"] for panel in first] == ["stat"] * 6 + ["row"]
        assert first[0]["title"] == "Age of the data"
        assert {(panel["gridPos"]["y"], panel["gridPos"]["w"]) for panel in first[:6]} == {(0, 4)}

    def test_the_sale_follows(self) -> None:
        rows = [panel["title"] for panel in board("war-room")["panels"] if panel["type"] == "row"]
        assert rows == ["GMV against targets, and over the last promotion", "Funnel", "Stock and logistics", "Alerts"]


@pytest.mark.parametrize("name", names())
class TestEveryDashboard:
    def test_begins_with_the_age_of_the_data(self, name: str) -> None:
        first = panels(board(name))[0]
        assert (first["title"], first["type"]) == ("Age of the data", "stat")
        assert "salepulse_as_of_age_seconds{" in first["targets"][0]["expr"]
        assert "salepulse_incomplete_since_seconds{" in first["targets"][1]["expr"], "and what is missing in it"

    def test_missing_data_is_shown_as_such(self, name: str) -> None:
        assert all(panel["fieldConfig"]["defaults"]["noValue"] == "no data" for panel in panels(board(name)))

    def test_old_numbers_are_not_shown_as_current(self, name: str) -> None:
        for panel in panels(board(name)):
            for target in panel["targets"]:
                assert target.get("instant", False) is (panel["type"] != "timeseries"), panel["title"]
                assert not (target.get("instant") and target.get("range")), panel["title"]

    def test_links_keep_time_and_variables(self, name: str) -> None:
        (link,) = board(name)["links"]
        assert (link["type"], link["tags"], link["keepTime"], link["includeVars"]) == (
            "dashboards",
            ["salepulse"],
            True,
            True,
        )
        assert "salepulse" in board(name)["tags"]

    def test_marks_the_phases_of_promotions_by_a_query(self, name: str) -> None:
        (phases,) = board(name)["annotations"]["list"]
        assert "salepulse_promotion_phase{" in phases["expr"]
        assert phases["datasource"]["uid"] == "$datasource"

    def test_panels_fit_the_screen_without_overlap(self, name: str) -> None:
        taken: dict[tuple[int, int], str] = {}
        for panel in board(name)["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, panel["title"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"]

    def test_queries_use_existing_metrics(self, name: str) -> None:
        for target in targets(name):
            for chosen in choices(name):
                asked = filled(target.expression, _any(name) | chosen)
                assert named(asked) | {metric for metric, _ in target.selectors} <= known(), target

    def test_every_metric_in_a_query_has_matchers(self, name: str) -> None:
        for target in targets(name):
            outside = re.sub(r"\{[^{}]*\}", "{}", target.expression)
            bare = set(re.findall(r"salepulse_\w+(?!\w*\{)\b(?!\{)", outside))
            assert not bare, target

    def test_linked_dashboards_exist(self, name: str) -> None:
        uids = {board(other)["uid"] for other in names()}
        assert set(re.findall(r'"/d/([\w-]+)', str(board(name)).replace("'", '"'))) <= uids

    def test_names_of_panels_and_queries_are_unique(self, name: str) -> None:
        ids = [panel["id"] for panel in board(name)["panels"]]
        assert sorted(ids) == list(range(1, len(ids) + 1))
        for panel in panels(board(name)):
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters), panel["title"]


class TestChinese:
    def test_every_text_is_translated(self) -> None:
        for name in names():
            for here, there in zip(board(name)["panels"], board(name, Language.ZH)["panels"], strict=True):
                assert re.search(r"[一-鿿]", there["title"]), there["title"]
                if here["type"] != "row":
                    assert re.search(r"[一-鿿]", there["description"]), there["title"]
            labels = [held["label"] for held in board(name, Language.ZH)["templating"]["list"]]
            assert labels[:3] == ["Data source", "Job", "Instance"]
            assert all(re.search(r"[一-鿿]", label) for label in labels[3:])

    def test_only_texts_differ(self) -> None:
        for name in names():
            assert board(name)["uid"] == board(name, Language.ZH)["uid"]
            assert _queries(board(name)) == _queries(board(name, Language.ZH))


@pytest.mark.parametrize(("name", "language"), ALL)
class TestLinter:
    """The rules of Grafana's dashboard linter, by their names."""

    def test_template_datasource_rule(self, name: str, language: Language) -> None:
        held = [one for one in board(name, language)["templating"]["list"] if one["type"] == "datasource"]
        assert [(one["name"], one["label"], one["query"]) for one in held] == [
            ("datasource", "Data source", "prometheus")
        ]

    @pytest.mark.parametrize("label", ["job", "instance"])
    def test_template_job_and_instance_rules(self, name: str, language: Language, label: str) -> None:
        held = next(one for one in board(name, language)["templating"]["list"] if one["name"] == label)
        assert (held["type"], held["label"], held["multi"], held["allValue"]) == ("query", label.title(), True, ".+")
        assert held["datasource"]["uid"] == "$datasource"

    def test_template_label_promql_and_reload_rules(self, name: str, language: Language) -> None:
        for held in board(name, language)["templating"]["list"]:
            if held["type"] == "query":
                assert re.fullmatch(r"label_values\((salepulse_\w+)(\{.*\})?, \w+\)", held["query"]["query"])
                assert held["refresh"] == 2, "on time range change"

    def test_panel_datasource_rule(self, name: str, language: Language) -> None:
        for panel in panels(board(name, language)):
            assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
            assert all(target["datasource"]["uid"] == "$datasource" for target in panel["targets"])

    def test_panel_title_description_rule(self, name: str, language: Language) -> None:
        for panel in panels(board(name, language)):
            assert panel["title"]
            assert panel["description"]

    def test_panel_units_rule(self, name: str, language: Language) -> None:
        for panel in panels(board(name, language)):
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
            for override in panel["fieldConfig"].get("overrides", ()):
                units = [one["value"] for one in override["properties"] if one["id"] == "unit"]
                assert set(units) <= UNITS

    def test_panel_no_targets_rule(self, name: str, language: Language) -> None:
        assert all(panel["targets"] for panel in panels(board(name, language)))

    def test_target_job_and_instance_rules(self, name: str, language: Language) -> None:
        for target in _targets(name, language):
            assert target.selectors, target
            for metric, matchers in target.selectors:
                assert matchers["job"] == ("=~", "$job"), target
                if metric not in OVER_SERVERS:
                    assert matchers["instance"] == ("=~", "$instance"), target

    def test_target_rate_interval_rule(self, name: str, language: Language) -> None:
        for target in _targets(name, language):
            assert set(re.findall(r"\[([^\]]+)\]", target.expression)) <= {"$__rate_interval"}, target

    def test_target_counter_agg_rule(self, name: str, language: Language) -> None:
        for target in _targets(name, language):
            plain = re.sub(r"\b(rate|irate|increase)\(\w+\{[^}]*\}\[[^\]]*\]\)", "", target.expression)
            assert not re.search(r"\w+_total\{", plain), target

    def test_uneditable_dashboard(self, name: str, language: Language) -> None:
        assert board(name, language)["editable"] is False


def _targets(name: str, language: Language) -> list[Target]:
    return [Target(name, "", expression) for expression in _queries(board(name, language))]


def _queries(made: Any) -> list[str]:
    return [target["expr"] for panel in panels(made) for target in panel["targets"]]


def _any(name: str) -> dict[str, str]:
    return dict.fromkeys(variables(name), "x") | {"__rate_interval": "1m"}

"""`salepulse model`: check and show; the examples of its page work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from redis import Redis
from typer.testing import CliRunner

from consumers.errors import UsageError
from streams.commands.root import create_app
from streams.dictionary.builtin import BUILT_IN, DEFINITIONS
from streams.dictionary.definitions import StoredNames
from streams.dictionary.file import read_model_file
from streams.dictionary.fingerprint import fingerprint_of
from streams.dictionary.wire import assign_names, counted_from, to_wire
from streams.model.loading import load_model
from streams.store.keys import Keys
from streams.store.worker_setup import StoredSetup
from tests.streams.dictionary.test_file import EXAMPLE

PAGE = Path(__file__).parents[3] / "docs" / "model.md"


def run(*argv: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(create_app(), ["model", *map(str, argv)])
    return done.exit_code, done.stdout, done.stderr


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of the page, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("model.yaml").write_text(blocks("yaml")[0])
    return Path("model.yaml")


def test_the_example_of_the_page_is_valid(first: Path) -> None:
    assert run("check", first) == (0, blocks("text")[0], "")


def test_every_error_has_file_and_line(first: Path) -> None:
    first.write_text(first.read_text().replace("field: bank", "field: bnak").replace("gmv", "gvm"))
    assert run("check", first) == (1, "", blocks("text")[1])
    assert run("show", first) == (2, "", f"salepulse: {blocks('text')[1]}")
    code, out, _ = run("check", first, "--json")
    assert code == 1
    answer = json.loads(out)
    assert (answer["valid"], [error["line"] for error in answer["errors"]]) == (False, [5, 9])


def test_check_prints_json(first: Path) -> None:
    code, out, err = run("check", first, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "file": "model.yaml",
        "valid": True,
        "errors": [],
        "fields": {"orders": {"bank": "label", "tip": "money"}},
        "dimensions": ["bank"],
        "measures": ["tips"],
        "metrics": ["tip_rate"],
    }


def test_a_file_that_cannot_be_read_is_a_wrong_use(tmp_path: Path) -> None:
    code, _, err = run("check", tmp_path / "missing.yaml")
    assert (code, err) == (2, f"salepulse: model {tmp_path}/missing.yaml cannot be read: No such file or directory\n")


def test_a_model_is_loaded_from_its_file_or_built_in(first: Path) -> None:
    assert load_model(None, exponent=2).model is BUILT_IN
    assert {"bank", "store"} & load_model(first, exponent=2).model.dimensions.keys() == {"bank"}
    first.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"model model\.yaml cannot be read: it is not UTF-8"):
        load_model(first, exponent=2)


def test_edges_have_the_decimal_places_of_the_currency(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "version: 1\ndimensions:\n  - {name: b, bands: unit_price, edges: [0, 9.5], labels: [low, high]}\n"
    first.write_text(text)
    assert run("check", first)[0] == 0
    monkeypatch.setenv("SALEPULSE_CURRENCY", "JPY")
    assert "3: the edge 9.5 cannot be counted exactly: write a whole number" in run("check", first)[2]


def test_show_prints_the_built_in_model() -> None:
    code, out, _ = run("show")
    shown = yaml.safe_load(out)
    assert code == 0
    for section, entries in (("dimensions", BUILT_IN.dimensions), ("metrics", BUILT_IN.metrics)):
        assert [entry["name"] for entry in shown[section]] == list(entries)
    assert {entry["name"] for entry in shown["measures"]} == {measure.name for measure in DEFINITIONS.measures}
    assert {"name": "conversion_rate", "formula": "buyers / visitors"}.items() <= next(
        entry.items() for entry in shown["metrics"] if entry["name"] == "conversion_rate"
    )


def test_what_show_prints_of_a_file_is_the_same_model(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(EXAMPLE)
    code, out, _ = run("show", file)
    assert code == 0
    own = "\n".join(line for line in out.splitlines() if "# built in" not in line)
    models = [read_model_file(text, exponent=2).model for text in (EXAMPLE, own)]
    assert len({fingerprint_of(model, "UTC") for model in models if model is not None}) == 1
    assert None not in models


def test_the_model_of_the_workers_is_shown_with_the_times_of_names(redis_url: str, first: Path) -> None:
    url = ("--redis-url", redis_url)
    code, _, err = run("show", "--stored", *url)
    assert (code, "no worker has stored a model" in err) == (1, True)
    before = counted_from(assign_names(BUILT_IN, "UTC", StoredNames()), None)
    loaded = load_model(first, exponent=2)
    names = assign_names(loaded.model, "UTC", before)
    for since_ms, remark in ((None, "# not counted yet"), (1_700_000_040_000, "# since 2023-11-14T22:14:00Z")):
        counted = names if since_ms is None else counted_from(names, since_ms)
        wire = to_wire(loaded.model, loaded.definitions, counted, exponent=2, timezone="UTC")
        setup = StoredSetup(generation=2, changing=since_ms is None, at_ms=1, release="0", model=wire)
        Redis.from_url(redis_url).set(Keys("salepulse", 1).setup, msgspec.json.encode(setup))
        code, out, _ = run("show", "--stored", *url)
        assert code == 0
        assert f"  - {{name: tips, sum: tip, of: order_paid}}  {remark}" in out.splitlines()
        assert "  - {name: aov, formula: gmv / orders_paid, unit: money}  # built in" in out.splitlines()
    assert run("show", first, "--stored", *url)[0] == 2

"""A run as files for a replay, with its ground truth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from streams.simulate import Season, write_season
from tests.streams.simulate.played import START_MS, play, small

CONFIG = small(duration_s=10, incidents=("conversion_drop@+2s/4s:size=0.25,channel=app", "traffic_surge@+7s/1s"))


def test_the_files_hold_what_was_generated_in_order_of_arrival(tmp_path: Path) -> None:
    write_season(Season(CONFIG), tmp_path / "sale")
    run = play(CONFIG)
    assert {path.name for path in (tmp_path / "sale").iterdir()} == {
        *("clicks.ndjson.gz", "orders.ndjson.gz", "logistics.ndjson.gz", "promotions.ndjson", "incidents.json"),
    }
    for topic in ("clicks", "orders", "logistics"):
        lines = gzip.decompress((tmp_path / "sale" / f"{topic}.ndjson.gz").read_bytes()).splitlines()
        assert lines == [value for name, _, _, value in run.messages if name == topic]
    assert (tmp_path / "sale" / "promotions.ndjson").read_bytes() == run.messages[0][3] + b"\n"


def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_season(Season(CONFIG), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_ground_truth_describes_the_incidents(tmp_path: Path) -> None:
    season = Season(CONFIG)
    write_season(season, tmp_path)
    truth = season.present.truth
    document = json.loads((tmp_path / "incidents.json").read_text())
    drop, surge = document["incidents"]
    assert (drop["kind"], drop["start_ms"], drop["end_ms"]) == ("conversion_drop", START_MS + 2000, START_MS + 6000)
    assert (drop["size"], drop["dimension"], drop["alert"]) == (0.25, {"channel": "app"}, True)
    assert {"kpi": "conversion_rate", "effect": "x 0.75"} in drop["expected"]
    assert not surge["alert"]
    assert document["seed"] == document["config"]["seed"] == 7
    assert document["truth"]["gmv"] == truth.gmv
    assert document["truth"]["total"] == truth.total


def test_progress_is_reported(tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    write_season(Season(CONFIG), tmp_path, on_progress=lambda done, whole: progress.append((done, whole)))
    assert progress[-1] == (10_000, 10_000)
    assert progress == sorted(progress)

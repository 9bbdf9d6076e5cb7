"""Which differences between workers make answers not live."""

from __future__ import annotations

import pytest

from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.fingerprint import fingerprint_of
from streams.store.process_reports import ProcessReport, ProcessReports
from streams.store.setup_differences import SetupDifference, setup_difference
from streams.store.state import StoreState, parse_state

NOW_MS = 1_699_660_800_000
BUILT_IN_TOKEN = f"1 {fingerprint_of(BUILT_IN, 'UTC')}"
SAME: ProcessReports = {
    "w-1": ProcessReport(at_ms=NOW_MS, setup="2 own"),
    "w-2": ProcessReport(at_ms=NOW_MS, setup="2 own"),
}
FORMER: ProcessReports = {**SAME, "w-2": ProcessReport(at_ms=NOW_MS, setup="1 former")}
UNAWARE: ProcessReports = {**SAME, "w-2": ProcessReport(at_ms=NOW_MS)}


def state(*tokens: str, changing: bool = False) -> StoreState:
    """The state of shards with these tokens; empty: none."""
    shards = [{b"setup": token.encode()} if token else {} for token in tokens]
    if changing:
        shards[0][b"setup-changing"] = b"1"
    return parse_state(shards)


def difference(seen: StoreState, reports: ProcessReports, now_ms: int, loaded: int = 0) -> SetupDifference | None:
    """What a server that loaded a generation finds."""
    changing = seen.setup_changing
    return setup_difference(seen.setups, reports, now_ms, changing=changing, loaded_generation=loaded)


@pytest.mark.parametrize(
    ("seen", "reports", "problem"),
    [
        (state(""), SAME, None),
        (state("2 own", "2 own"), SAME, None),
        (state("2 own", ""), SAME, None),
        (state("2 own", "1 former"), SAME, "is not complete"),
        (state("2 own", changing=True), SAME, "is not complete"),
        (state("10 own", "10 own"), {"w": ProcessReport(at_ms=NOW_MS, setup="10 own")}, None),
        (state("2 own"), FORMER, "w-2 has former, and the present is own"),
        (state("2 own"), UNAWARE, "w-2 has a release without models"),
        (state(BUILT_IN_TOKEN), {"w": ProcessReport(at_ms=NOW_MS)}, None),
        (state("2 own"), {**SAME, "alerts-h-1": ProcessReport(at_ms=NOW_MS)}, None),
        (state("3 own"), SAME, "w-1 has own, w-2 has own"),
    ],
)
def test_differences(seen: StoreState, reports: ProcessReports, problem: str | None) -> None:
    found = difference(seen, reports, NOW_MS + 15_000)
    assert (found is None) == (problem is None), found
    assert found is None or (problem or "") in found.problem


def test_a_server_with_a_former_model_is_not_live() -> None:
    assert difference(state("2 own"), SAME, NOW_MS, 2) is None
    found = difference(state("2 own"), SAME, NOW_MS, 1)
    assert found is not None
    assert "has not loaded" in found.problem


def test_reports_of_ended_workers_do_not_count() -> None:
    assert difference(state("2 own"), FORMER, NOW_MS + 15_001) is None


def test_a_state_without_shards_has_no_difference() -> None:
    assert difference(parse_state([]), SAME, NOW_MS) is None

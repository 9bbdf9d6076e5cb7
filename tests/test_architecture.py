"""The rules that hold the code base together, read off its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

MAY_IMPORT = {
    "consumers": {"consumers"},
    "streams": {"streams", "consumers"},
    "alerts": {"alerts", "streams", "consumers"},
}
"""Imports point one way: alerts -> streams -> consumers."""

PURE_FOLDERS = (
    "alerts/detectors",
    "alerts/evaluation",
    "alerts/state",
    "alerts/verdicts",
    "consumers/promotions",
    "streams/panes",
    "streams/shipping",
    "streams/stock",
    "streams/targets",
)
PURE_FILES = (
    "streams/ahead.py",
    "streams/clock_reports.py",
    "streams/doctor/held_up.py",
    "streams/feeds.py",
    "streams/log_pace.py",
    "streams/timekeeping.py",
    "streams/worker/arrivals.py",
    "alerts/viewing/settled.py",
    "alerts/findings.py",
    "alerts/notify/addresses.py",
    "alerts/notify/grouping.py",
    "alerts/notify/markup.py",
    "alerts/notify/message.py",
    "alerts/notify/outcome.py",
    "alerts/notify/retrying.py",
    "alerts/rules/detect.py",
    "alerts/rules/file.py",
    "alerts/rules/rule.py",
    "alerts/viewing/facts.py",
    "alerts/viewing/past.py",
    "consumers/classification.py",
    "consumers/decoding.py",
    "consumers/dedup.py",
    "consumers/events.py",
    "consumers/plausibility.py",
    "consumers/recognition.py",
    "consumers/rejects.py",
    "consumers/skipped.py",
    "consumers/structs.py",
    "consumers/topic_differences.py",
    "consumers/topic_names.py",
    "consumers/topics.py",
    "consumers/unpacking/batch_header.py",
    "consumers/unpacking/byte_stream.py",
    "consumers/unpacking/codecs.py",
    "consumers/unpacking/lz4_frames.py",
    "consumers/unpacking/old_messages.py",
    "consumers/unpacking/snappy_blocks.py",
    "streams/acceptance.py",
    "streams/asof.py",
    "streams/compare.py",
    "streams/dedup_reports.py",
    "streams/currencies.py",
    "streams/kpis.py",
    "streams/lateness.py",
    "streams/phases.py",
    "streams/promotions.py",
    "streams/serve/allowance.py",
    "streams/serve/budget.py",
    "streams/serve/hosts.py",
    "streams/serve/sse.py",
    "streams/serve/standing.py",
    "streams/store/id_log.py",
    "streams/store/kept.py",
    "streams/store/merging.py",
    "streams/refusal_reports.py",
    "streams/store/script_rights.py",
    "streams/store/refusal_kinds.py",
    "streams/totals.py",
    "streams/stuck.py",
    "streams/view/distinct.py",
    "streams/view/retention.py",
    "streams/view/row_panes.py",
    "streams/view/sums.py",
    "streams/windows.py",
    "streams/worker/watchdog.py",
    "streams/worker_reports.py",
)
"""What is computed, apart from where it comes from and goes to: no I/O, and no clock but the times passed in."""

IMPURE_LIBRARIES = {
    *("aiohttp", "aiokafka", "asyncio", "faust", "fastapi", "hiredis", "httpx", "mode", "redis", "requests", "uvicorn"),
    *("http", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "socket", "ssl", "structlog"),
    *("subprocess", "tempfile", "time", "urllib", "uvloop"),
}
IMPURE_CALLS = {"now", "utcnow", "today"}
"""Of date and datetime: they read the clock."""


def sources() -> list[Path]:
    return sorted(path for package in MAY_IMPORT for path in (REPOSITORY / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in a file, inside functions too."""
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            yield node.lineno, ".".join([*base, *filter(None, [node.module])])


def test_imports_point_one_way() -> None:
    turned = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sources()
        for line, name in imports(path)
        if (root := name.split(".")[0]) in MAY_IMPORT and root not in MAY_IMPORT[path.relative_to(REPOSITORY).parts[0]]
    ]
    assert not turned, "alerts -> streams -> consumers, never back"


def test_nothing_imports_the_tests() -> None:
    assert not [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in sources()
        for line, name in imports(path)
        if name.split(".")[0] == "tests"
    ]


def pure() -> list[str]:
    """What of the sources the core is made of, as paths."""
    paths = [str(path.relative_to(REPOSITORY)) for path in sources()]
    return [path for path in paths if path in PURE_FILES or path.rpartition("/")[0] in PURE_FOLDERS]


def test_the_pure_core_is_all_there() -> None:
    found = pure()
    assert [name for name in PURE_FILES if name not in found] == []
    assert [name for name in PURE_FOLDERS if not any(path.startswith(f"{name}/") for path in found)] == []


@pytest.mark.parametrize("name", pure())
def test_the_core_is_pure(name: str) -> None:
    path = REPOSITORY / name
    impure = [f"line {line} imports {lib}" for line, lib in imports(path) if lib.split(".")[0] in IMPURE_LIBRARIES]
    for node in ast.walk(ast.parse(path.read_text(), name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_CALLS:
            impure.append(f"line {node.lineno} reads the clock: {ast.unparse(node.func)}()")
    assert not impure

"""The rules of the source tree: which way imports point, what is pure, and that every class name is unique.

`tests/test_language.py` checks its words, `tests/test_exceptions.py` that no exception listed here outlives its cause.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
    "alerts/statistics",
    "alerts/detection",
    "alerts/state",
    "alerts/correlation",
    "alerts/wording",
    "streams/dictionary",
    "streams/fold",
    "streams/panes",
    "streams/shipping",
    "streams/stock",
)
PURE_FILES = (
    "alerts/evaluate.py",
    "alerts/memory.py",
    "consumers/yaml_models.py",
    "consumers/sources/checks.py",
    "consumers/sources/compiling.py",
    "consumers/sources/conditions.py",
    "consumers/sources/envelopes.py",
    "consumers/sources/file.py",
    "consumers/sources/functions.py",
    "consumers/sources/message.py",
    "consumers/sources/openers.py",
    "consumers/sources/paths.py",
    "consumers/sources/picked.py",
    "consumers/sources/avro.py",
    "consumers/sources/avro_reader.py",
    "consumers/sources/protobuf.py",
    "consumers/sources/samples.py",
    "consumers/sources/schemas.py",
    "consumers/sources/source.py",
    "consumers/sources/targets.py",
    "consumers/sources/unrolled.py",
    "consumers/sources/values.py",
    "streams/worker/fast_clocks.py",
    "streams/store/process_reports.py",
    "streams/store/as_of.py",
    "streams/log_pace.py",
    "streams/store/clock_measurement.py",
    "alerts/viewing/horizon.py",
    "alerts/findings.py",
    "alerts/rule_states.py",
    "alerts/notify/addresses.py",
    "alerts/notify/grouping.py",
    "alerts/notify/markup.py",
    "alerts/notify/message.py",
    "alerts/notify/outcome.py",
    "alerts/delivery/retry.py",
    "alerts/rules/detect.py",
    "alerts/rules/file.py",
    "alerts/rules/rule.py",
    "alerts/viewing/health_readings.py",
    "consumers/contract/rejection.py",
    "consumers/contract/decoding.py",
    "consumers/dedup.py",
    "consumers/contract/events.py",
    "consumers/contract/own_fields.py",
    "consumers/contract/plausibility.py",
    "consumers/contract/rejection_hints.py",
    "consumers/unpacking/record.py",
    "consumers/contract/structs.py",
    "consumers/kafka/topic_differences.py",
    "consumers/promotions/changes.py",
    "consumers/promotions/file.py",
    "consumers/promotions/yaml_lines.py",
    "consumers/times.py",
    "consumers/topics.py",
    "consumers/unpacking/batch_header.py",
    "consumers/unpacking/byte_stream.py",
    "consumers/unpacking/codecs.py",
    "consumers/unpacking/legacy_messages.py",
    "streams/store/contract_check.py",
    "streams/store/feeds.py",
    "streams/view/compare_rules.py",
    "streams/local/doctor/dedup_horizon.py",
    "streams/model/currencies.py",
    "streams/model/kpis.py",
    "streams/worker/lateness.py",
    "streams/model/promotions.py",
    "streams/model/target_forecast.py",
    "streams/serve/sse.py",
    "streams/view/answer_status.py",
    "streams/store/id_log.py",
    "streams/store/retained_spans.py",
    "streams/store/merging.py",
    "streams/store/refusal_kinds.py",
    "streams/model/negative_amounts.py",
    "streams/store/stuck_partitions.py",
    "streams/panes/tiered_sum.py",
    "streams/view/live_distincts.py",
    "streams/view/registers.py",
    "streams/view/retention.py",
    "streams/view/sums.py",
    "streams/model/windows.py",
    "streams/worker/watchdog.py",
)
"""The functional core: no I/O, and no clock but the times passed in."""

IMPURE_LIBRARIES = {
    *("aiohttp", "aiokafka", "asyncio", "faust", "fastapi", "hiredis", "httpx", "mode", "redis", "requests", "uvicorn"),
    *("http", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "socket", "ssl", "structlog"),
    *("subprocess", "tempfile", "time", "urllib", "uvloop"),
}
IMPURE_CALLS = {"now", "utcnow", "today"}
"""Methods of date and datetime that read the clock."""

VALUE_MODULES = {
    "alerts/shop.py": "quotes URLs with urllib.parse",
    "consumers/settings.py": "frozen settings; only commands load them",
    "streams/settings.py": "frozen settings; only commands load them",
    "consumers/masking.py": "masks secrets in text; its logging processor is installed by commands",
}
"""Modules that the core may import although they import an impure library: it uses only their types and functions."""


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(path for package in MAY_IMPORT for path in (REPOSITORY / package).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, absolute dotted name) of every import in a file, inside functions too."""
    return tuple(_imports(path, tree(path)))


@cache
def runtime_imports(path: Path) -> tuple[tuple[int, str], ...]:
    """The imports that run: all but those under `if TYPE_CHECKING`."""
    for_types = [node for node in ast.walk(tree(path)) if isinstance(node, ast.If) and _is_type_checking(node.test)]
    lines = {line for node in for_types for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return tuple((line, name) for line, name in imports(path) if line not in lines)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _imports(path: Path, module: ast.Module) -> Iterator[tuple[int, str]]:
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            name = ".".join([*base, *filter(None, [node.module])])
            submodules = [f"{name}.{alias.name}" for alias in node.names if file_of(f"{name}.{alias.name}")]
            yield from ((node.lineno, submodule) for submodule in submodules)
            if len(submodules) < len(node.names):
                yield node.lineno, name


@cache
def file_of(module: str) -> Path | None:
    """The file of a module or package of ours, None for others."""
    path = REPOSITORY.joinpath(*module.split("."))
    if module.split(".")[0] not in MAY_IMPORT:
        return None
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()), None)


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


def test_class_names_are_unique() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(f"{relative(path)}:{node.lineno}")
    assert {name: places for name, places in defined.items() if len(places) > 1} == {}


def sub_package(path: Path) -> str:
    """The folder of a file; the file itself, without `.py`, where it lies at the top of a package."""
    name = relative(path)
    return name.removesuffix(".py") if name.count("/") == 1 and path.name != "__init__.py" else name.rpartition("/")[0]


@cache
def sub_package_imports() -> dict[str, set[str]]:
    """{sub-package: the other sub-packages that it imports, for types as well}."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in sources():
        for _, name in imports(path):
            if (target := file_of(name)) and sub_package(target) != sub_package(path):
                graph[sub_package(path)].add(sub_package(target))
    return graph


def test_no_sub_packages_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(sub_package_imports()).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


@cache
def pure() -> list[str]:
    """The paths of the files of the core."""
    paths = [relative(path) for path in sources()]
    return [path for path in paths if path in PURE_FILES or path.rpartition("/")[0] in PURE_FOLDERS]


def test_the_pure_core_is_all_there() -> None:
    found = pure()
    assert [name for name in PURE_FILES if name not in found] == []
    assert [name for name in PURE_FOLDERS if not any(path.startswith(f"{name}/") for path in found)] == []


def imported_files(path: Path) -> set[Path]:
    return {target for _, name in runtime_imports(path) if (target := file_of(name))}


def impure_libraries(path: Path) -> set[str]:
    return {library for _, name in runtime_imports(path) if (library := name.split(".")[0]) in IMPURE_LIBRARIES}


@cache
def impurity(path: Path) -> str:
    """How a file reaches an impure library, as `a.py imports b.py imports redis`; empty if it does not."""
    paths = {path: relative(path)}
    to_visit = [path]
    for visited in to_visit:
        if relative(visited) in VALUE_MODULES:
            continue
        if libraries := impure_libraries(visited):
            return f"{paths[visited]} imports {min(libraries)}"
        for target in sorted(imported_files(visited) - paths.keys()):
            paths[target] = f"{paths[visited]} imports {relative(target)}"
            to_visit.append(target)
    return ""


def impure_imports(name: str) -> list[str]:
    """How each impure file outside the core that a file of the core imports directly is impure."""
    outside = [path for path in imported_files(REPOSITORY / name) if relative(path) not in pure()]
    return [how for path in outside if (how := impurity(path))]


@pytest.mark.parametrize("name", pure())
def test_the_core_is_pure(name: str) -> None:
    path = REPOSITORY / name
    impure = [f"line {line} imports {lib}" for line, lib in imports(path) if lib.split(".")[0] in IMPURE_LIBRARIES]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_CALLS:
            impure.append(f"line {node.lineno} reads the clock: {ast.unparse(node.func)}()")
    impure += impure_imports(name)
    assert not impure

"""The docs site builds without a warning, and every documented command exists.

`tests/test_docs_commands.py` runs the commands.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from streams.commands.root import create_app
from streams.serve.definitions import definitions
from streams.worker.position_tracker import ASK_EVERY_S

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(salepulse [^`\n]+)`")
_CALL = re.compile(r"(?:^|[\s(])(?:\.venv/bin/)?salepulse +(.+)")


def shell_lines() -> Iterator[tuple[str, str]]:
    """(page, line) of every line in a shell block, without its comment."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if bare := line.split(" #")[0].strip():
                    yield str(page.relative_to(REPOSITORY)), bare


def commands() -> Iterator[tuple[str, str]]:
    """(page, arguments) of every `salepulse` command in a shell block or between backticks."""
    inline = ((str(page.relative_to(REPOSITORY)), line) for page in PAGES for line in _INLINE.findall(page.read_text()))
    for page, line in (*shell_lines(), *inline):
        if call := _CALL.search(line.split(" #")[0]):
            yield page, re.split(r" [|>&] ?|;|&&", call[1])[0].strip()


def test_contributing_names_every_program_that_ci_installs() -> None:
    programs = set(re.findall(r"command -v ([\w-]+)", (REPOSITORY / ".ci" / "run").read_text())) - {"apt-get"}
    page = (REPOSITORY / "CONTRIBUTING.md").read_text().lower()
    spelled = {"mvn": "maven", "docker-compose": "docker compose"}
    assert len(programs) > 5
    assert [program for program in sorted(programs) if spelled.get(program, program) not in page] == []


def test_the_readme_has_the_number_of_kpis() -> None:
    (number,) = re.findall(r"\*\*(\d+) counters and KPIs\*\*", (REPOSITORY / "README.md").read_text())
    assert int(number) == len(list(definitions()))


def test_the_interval_at_which_workers_compare_topics_is_documented() -> None:
    page = (REPOSITORY / "docs" / "operating.md").read_text()
    found = re.findall(r"Workers compare every (\d+) s|Within (\d+) s, before a worker notices", page)
    assert {float(one or other) for one, other in found} == {ASK_EVERY_S}
    assert len(found) == 2


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_every_documented_command_and_option_exists(page: str, command: str) -> None:
    words = [word for word in shlex.split(command) if word not in ("…", "...")]
    found: Any = typer.main.get_command(create_app())
    while (known := getattr(found, "commands", None)) and words and not words[0].startswith("-"):
        assert words[0] in known, f"{page}: salepulse {command}: there is no {words[0]!r} among {', '.join(known)}"
        found = known[words.pop(0)]
    options = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert given <= options, f"{page}: salepulse {command}: no option {', '.join(given - options)}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()

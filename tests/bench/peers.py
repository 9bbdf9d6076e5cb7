"""Other stream processors on the same broker and Redis, if the comparison beside the repository exists."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.bench.ground import REPOSITORY, BenchError, Ground
from tests.bench.report import Part, Table, say

SCRIPT = REPOSITORY.parent / "shared" / "bench" / "run.py"
FIGURES = ("n", "events_per_s", "cpu_s_per_million", "peak_rss_mib", "ok")


def measure(ground: Ground, *, python: str, names: list[str]) -> Part:
    """Run it with an interpreter of its own, which has the peers' dependencies. It counts less than salepulse does."""
    part = Part("Peers")
    if not SCRIPT.exists():
        raise BenchError(f"{SCRIPT.name} of the comparison is not beside the repository: leave out --peers")
    ground.empty()
    say(f"peers: {' '.join(names)}")
    found, log = ground.folder / "peers.json", ground.folder / "peers.log"
    argv = [python, str(SCRIPT), *names, "--repeats", "1", "--json", str(found)]
    argv += ["--bootstrap", ground.broker.bootstrap, "--redis", ground.redis.address]
    with log.open("w") as out:
        done = subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise BenchError(f"the comparison failed:\n{log.read_text()[-2000:]}")
    document: dict[str, Any] = json.loads(found.read_text())
    table = Table("Fewer KPIs, fewer scopes, no de-duplication, not restartable", ["peer", *FIGURES])
    for row in document["rows"]:
        table.rows.append([row["peer"], *(row[name] for name in FIGURES)])
    part.tables.append(table)
    part.runs += document["runs"]
    return part

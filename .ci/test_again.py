"""Run a few failed tests once more, alone: some wait for brokers and stores that other tests slow down meanwhile.

More than `MOST` failures are no accident, and fail at once. A test that passes only here is named in the last line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
MOST = 5
PYTEST = (sys.executable, "-m", "pytest")


def main() -> int:
    """Return 0 if all failed tests pass alone."""
    failed = list(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        return 1
    print(f"{len(failed)} tests failed; once more, alone:", flush=True)
    again = subprocess.run([*PYTEST, "--last-failed"], check=False).returncode
    if again == 0:
        listed = subprocess.run([*PYTEST, "--collect-only", "-q"], check=True, capture_output=True, text=True).stdout
        total = re.findall(r"(\d+)(?:/\d+)? tests? collected", listed)[-1]
        print(f"{total} tests passed, {len(failed)} of them only when run again alone: {', '.join(failed)}")
    return again


if __name__ == "__main__":
    sys.exit(main())

"""Create the secrets of the compose file: `python3 deploy/compose/make_secrets.py [FOLDER]`. Needs only Python.

What is there already is left as it is. The folder is for its owner only; the files in it can be read by whoever gets to
them, as the users in containers are others than here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
USERS = {"WRITE-PASSWORD": "redis_write_password", "READ-PASSWORD": "redis_read_password"}
"""{placeholder in redis-users.acl: file of the password}."""


def make(folder: Path) -> list[str]:
    """Create missing files; returns their names."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [name for name in (*USERS.values(), "grafana_admin_password") if _write(folder / name, _password)]
    made += ["redis_users.acl"] if _write(folder / "redis_users.acl", lambda: _users(folder)) else []
    if _write(folder / "prometheus_token", lambda: f"sp_{_password()}"):
        made.append("prometheus_token")
        (folder / "tokens.json").unlink(missing_ok=True)
    made += ["tokens.json"] if _write(folder / "tokens.json", lambda: _tokens(folder)) else []
    return made


def _write(path: Path, content: Callable[[], str]) -> bool:
    if path.exists():
        return False
    path.write_text(content())
    path.chmod(0o644)
    return True


def _password() -> str:
    return secrets.token_urlsafe(32)


def _users(folder: Path) -> str:
    """The ACL file of Redis, with hashes of passwords."""
    text = (HERE / "redis-users.acl").read_text()
    for place, name in USERS.items():
        hashed = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        text = text.replace(f">{place}", f"#{hashed}")
    return text


def _tokens(folder: Path) -> str:
    """The file of `salepulse tokens`, with a token of scope `read` for Prometheus."""
    hashed = hashlib.sha256((folder / "prometheus_token").read_bytes()).hexdigest()
    token = {"name": "prometheus", "scope": "read", "sha256": hashed, "created_ms": int(time.time() * 1000)}
    return json.dumps({"tokens": [token]}, indent=2) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "secrets"
    made = make(folder)
    print(f"{folder}: created {', '.join(made)}" if made else f"{folder}: complete")  # noqa: T201 - a command

"""The scripts beside this file."""

from __future__ import annotations

from importlib.resources import files

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from streams.store.script_rights import guarded


def script(redis: Redis, name: str) -> AsyncScript:
    """One of the scripts. A Redis that has forgotten it is taught again by itself."""
    return redis.register_script(guarded(files("alerts.store").joinpath(f"{name}.lua").read_text()))

"""Scripts that do all or nothing also where their user lacks a right: Redis checks each command of a script when it
comes to it, and takes nothing back. Pure."""

from __future__ import annotations

import re

_CALL = re.compile(r"redis\.p?call\('(\w+)'")


def guarded(text: str) -> str:
    """A script that first sees whether its user may send each of its commands, to its first key as to all others.

    >>> print(guarded("redis.call('SET', KEYS[1], 'a')"))
    for _, name in ipairs({'SET'}) do if not redis.acl_check_cmd(name, KEYS[1]) then \
return redis.error_reply('NOPERM this user has no permissions to run ' .. name) end end
    redis.call('SET', KEYS[1], 'a')
    """
    names = ", ".join(f"'{name}'" for name in sorted(set(_CALL.findall(text))))
    return (
        f"for _, name in ipairs({{{names}}}) do if not redis.acl_check_cmd(name, KEYS[1]) then "
        f"return redis.error_reply('NOPERM this user has no permissions to run ' .. name) end end\n{text}"
    )

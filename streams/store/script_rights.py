"""Makes scripts atomic even if their user lacks a permission: Redis checks each command when it runs, without
rollback. Pure."""

from __future__ import annotations

import re

_CALL = re.compile(r"redis\.p?call\('(\w+)'")


def guarded(text: str) -> str:
    """rPrefix a script with a check that its user may run each of its commands on its first key.

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

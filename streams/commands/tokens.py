"""`salepulse tokens`: create, list and revoke API tokens."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.common import load_settings, report_errors
from consumers.errors import UsageError
from consumers.times import format_utc, parse_duration
from streams.commands.options import AsJson
from streams.commands.output import print_json, print_note, print_table
from streams.settings import Settings
from streams.tokens.token import Token, TokenScope

MAX_LENGTH_MS = 36_500 * 86_400_000
app = typer.Typer(help="Create, list and revoke API tokens.", no_args_is_help=True)

File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Tokens file (default: the setting tokens_file).")
]
Name = Annotated[str, typer.Argument(help="Name of the token: letters, digits, and . _ @ -")]


@app.command()
def create(
    name: Name,
    scope: Annotated[
        TokenScope, typer.Option(help="Permissions; each scope includes those before it.")
    ] = TokenScope.READ,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Lifetime, such as 12h or 90d (default: unlimited).")
    ] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it once: the file keeps only its hash. Servers accept it within a second."""
    from streams.clock import now_ms
    from streams.tokens.file import change_tokens
    from streams.tokens.token import SECRET_PREFIX, Token, hash_secret

    with report_errors():
        path, now = _path(file), now_ms()
        if not re.fullmatch(r"[\w.@-]{1,64}", name):
            raise UsageError(f"{name!r} is not a valid token name: use up to 64 letters, digits, and . _ @ -")
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        expires_ms = None if expires is None else now + _length_ms(expires)
        token = Token(name=name, scope=scope, sha256=hash_secret(secret), created_ms=now, expires_ms=expires_ms)

        def add(existing: tuple[Token, ...]) -> list[Token]:
            if any(other.name == name for other in existing):
                raise UsageError(f"token {name!r} exists in {path}: choose another name, or revoke it first")
            return [*existing, token]

        change_tokens(path, add)
    if as_json:
        print_json({"name": name, "scope": scope.value, "token": secret, "expires_ms": expires_ms, "file": str(path)})
        return
    until = f", until {format_utc(expires_ms)}" if expires_ms is not None else ""
    print_note(f"created token name={name} scope={scope}{until} in {path}; it is not shown again:")
    typer.echo(secret)


@app.command("list")
def list_(file: File = None, as_json: AsJson = False) -> None:
    """List tokens with scope and expiry."""
    from streams.clock import now_ms
    from streams.tokens.file import read_tokens

    with report_errors():
        held, now = read_tokens(_path(file)), now_ms()
    if as_json:
        shown = [token.model_dump(mode="json", exclude={"sha256"}) | {"expired": token.expired(now)} for token in held]
        print_json({"tokens": shown})
        return
    rows = [(token.name, token.scope.value, format_utc(token.created_ms), _expiry(token, now)) for token in held]
    print_table(("name", "scope", "created", "expires"), rows, styles=("bold",))


@app.command()
def revoke(name: Name, file: File = None) -> None:
    """Revoke a token: servers reject it within a second."""
    from streams.tokens.file import change_tokens, read_tokens

    with report_errors():
        path = _path(file)
        read_tokens(path)  # raises for a missing file, which change_tokens would create

        def drop(held: tuple[Token, ...]) -> list[Token]:
            if all(token.name != name for token in held):
                raise UsageError(f"no token {name!r} in {path}: list them with `salepulse tokens list`")
            return [token for token in held if token.name != name]

        change_tokens(path, drop)
    print_note(f"revoked token {name!r}")


def _path(file: Path | None) -> Path:
    if file is not None:
        return file
    settings = load_settings(Settings)
    if not settings.tokens_file:
        raise UsageError("no tokens file: give --file FILE, or set tokens_file")
    return Path(settings.tokens_file)


def _length_ms(text: str) -> int:
    try:
        length_ms = round(1000 * parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--expires: {error}") from None
    if not 0 < length_ms <= MAX_LENGTH_MS:
        raise UsageError(f"--expires {text!r}: use more than 0s and at most 36500d")
    return length_ms


def _expiry(token: Token, now_ms: int) -> str:
    if token.expires_ms is None:
        return "never"
    return format_utc(token.expires_ms) + (" (expired)" if token.expired(now_ms) else "")

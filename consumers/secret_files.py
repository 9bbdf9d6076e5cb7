"""Secrets that are kept in files of their own."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from consumers.errors import UsageError
from consumers.masking import conceal


def secret_of(setting: str, given: SecretStr, file: str) -> str:
    """A secret that is either given itself or is all of a file, but for the line break at its end.

    Args:
        setting: its name, which with `_file` is the name of the setting that names the file.

    Raises:
        UsageError: the file cannot be read, or is empty.
    """
    if not file:
        return given.get_secret_value()
    try:
        text = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(
            f"{setting}_file: {file} cannot be read ({reason}): name a file that holds the secret"
        ) from None
    if not text:
        raise UsageError(f"{setting}_file: {file} is empty: write the secret into it")
    conceal(text)
    return text

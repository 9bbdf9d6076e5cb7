"""A headless chromium, controlled through a pipe.

with browser(folder) as chromium:
    chromium.open("http://127.0.0.1:8080/")
    html = chromium.until(lambda html: "live" in html)
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.commands import require_program
from tests.support.wait import eventually

_PAGE = 'document.documentElement?.outerHTML ?? ""'
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


class Browser:
    """One tab. `ask` and `tell`: the ends of its pipes, for messages that end with a zero byte."""

    def __init__(self, ask: int, reply: int) -> None:
        self._ask, self._replies = os.fdopen(ask, "wb", 0), os.fdopen(reply, "rb", 0)
        self._rest = b""
        self._asked = 0
        self._session: dict[str, str] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}

    def open(self, url: str) -> None:
        """Navigate without waiting for the page."""
        self._call("Page.navigate", url=url)

    def run(self, script: str, *, before_pages: bool = False) -> Any:
        """The result of a script in the open page; or run it in each page opened from now on, before the page's own
        scripts.
        """
        if before_pages:
            self._call("Page.enable")
            return self._call("Page.addScriptToEvaluateOnNewDocument", source=script)
        reply = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def until(self, so: Callable[[str], object], within_s: float = 40) -> str:
        """The page as HTML once the condition holds; fails with the page after the time limit."""
        html = ""

        def found() -> object:
            nonlocal html
            html = self._call("Runtime.evaluate", expression=_PAGE)["result"]["value"]
            return so(html)

        try:
            eventually(found, within_s=within_s, what="the page has the expected content")
        except AssertionError as error:
            error.add_note(html)
            raise
        return html

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters, **self._session}
        self._ask.write(json.dumps(message).encode() + b"\0")
        while True:
            *answers, self._rest = self._rest.split(b"\0")
            for answer in map(json.loads, answers):
                if answer.get("id") == self._asked:
                    assert "error" not in answer, answer
                    return dict(answer["result"])
            got = self._replies.read(1 << 16)
            assert got, "the browser has ended"
            self._rest += got


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with its profile in a folder. Skips the test if it is not installed."""
    program = require_program("chromium", "chromium-browser", "google-chrome", package="chromium")
    argv = shlex.join([program, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"])
    (read, ask), (reply, write) = os.pipe(), os.pipe()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {argv} 3<&{read} 4>&{write}"],
        pass_fds=(read, write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(read)
    os.close(write)
    try:
        yield Browser(ask, reply)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

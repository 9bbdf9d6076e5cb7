"""Asking a stack: what it answers to the queries of `expected.json`, by value of the scope."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from streams.scopes import Rows, Scope
from streams.settings import Settings
from streams.store.connection import connect
from streams.store.keys import Keys
from streams.store.reader import PaneReader
from streams.store.writer import now_ms
from streams.view.asking import Question
from streams.view.rolling import RollingView
from streams.windows import Window
from tests.support.expected import Query, Values


class ViewApi:
    """A read side in this process that starts anew for each set of questions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def ask(self, queries: Sequence[Query]) -> list[Mapping[str, Values]]:
        """The answers of each query, by value of the scope."""
        return asyncio.run(self._ask(queries))

    async def _ask(self, queries: Sequence[Query]) -> list[Mapping[str, Values]]:
        rows = Rows()
        async with connect(self._settings) as redis:
            keys = Keys(self._settings.redis_prefix, self._settings.shards)
            view = RollingView(PaneReader(redis, keys, rows), rows, self._settings)
            await view.poll(now_ms())
            return [await self._answer(view, query) for query in queries]

    async def _answer(self, view: RollingView, query: Query) -> Mapping[str, Values]:
        question = Question(Window(query.window), Scope(query.scope), query.as_of, query.promotion)
        if query.value is None:
            answer = await view.every(question, now_ms())
        else:
            answer = await view.one(question, query.value, now_ms())
        assert answer.as_of_ms == query.as_of
        return {item.value: item.values for item in answer.items}

"""Encode rows as messages, with one byte template per event type."""

from __future__ import annotations

import numpy as np

from streams.simulate.columns import EventColumns, SimulatedEventType

Message = tuple[str, bytes, int, bytes]
"""(topic, Kafka key, event time in epoch ms, value)"""

NUMBERED = {
    SimulatedEventType.PAGE_VIEW: "dwell_ms",
    SimulatedEventType.PRODUCT_VIEW: "dwell_ms",
    SimulatedEventType.LIVE_ENTER: "dwell_ms",
    SimulatedEventType.AD_CLICK: "cost",
    SimulatedEventType.ORDER_REFUNDED: "refund_amount",
    SimulatedEventType.STOCK_LEVEL: "on_hand",
    SimulatedEventType.STOCK_RECEIVED: "qty",
    SimulatedEventType.STOCK_ADJUSTED: "delta",
}
"""<event type: field of `EventColumns.value`>; other types do not write it"""
TOPIC = tuple(str(kind.topic) for kind in SimulatedEventType)


class Encoder:
    """Encodes rows as JSON of the event contract."""

    def __init__(self, run: bytes) -> None:
        self._forms = [_form(kind, run) for kind in SimulatedEventType]

    def messages(self, rows: EventColumns) -> list[Message]:
        """Messages of the rows, in order."""
        order = np.argsort(rows.kind, kind="stable")
        by_kind = rows.take(order)
        bounds = np.searchsorted(by_kind.kind, np.arange(len(SimulatedEventType) + 1)).tolist()
        values: list[bytes] = []
        for kind, form in zip(SimulatedEventType, self._forms, strict=True):
            begin, end = bounds[kind], bounds[kind + 1]
            if begin < end:
                values += self._fill(kind, form, by_kind, begin, end)
        index_of = np.empty(len(order), dtype=np.int64)
        index_of[order] = np.arange(len(order))
        topics = [TOPIC[kind] for kind in rows.kind.tolist()]
        ordered = [values[i] for i in index_of.tolist()]
        return list(zip(topics, rows.key.tolist(), rows.ts.tolist(), ordered, strict=True))

    @staticmethod
    def _fill(kind: SimulatedEventType, form: bytes, rows: EventColumns, begin: int, end: int) -> list[bytes]:
        columns = [rows.number, rows.ts, rows.body]
        columns += [rows.value] if kind in NUMBERED else []
        lists = [column[begin:end].tolist() for column in (*columns, rows.tail)]
        return [form % one for one in zip(*lists, strict=True)]


def _form(kind: SimulatedEventType, run: bytes) -> bytes:
    letter = str(kind.topic)[0].encode()
    value = b',"%b":%%d' % NUMBERED[kind].encode() if kind in NUMBERED else b""
    head = b'{"event_id":"%b-%b-%%x","type":"%b","ts":%%d,' % (letter, run, kind.type.encode())
    return head + b"%b" + value + b"%b}"

"""Maps fill the fields of a shop's own as they fill those of the contract."""

from __future__ import annotations

from pathlib import Path

from consumers.contract.decoding import EventDecoder
from consumers.contract.own_fields import FieldType
from consumers.contract.rejection import RejectionReason
from consumers.settings import IngestSettings
from consumers.sources.file import read_sources
from consumers.sources.inputs import load_inputs
from consumers.sources.source import CompiledSource
from consumers.topics import Topic
from tests.consumers.sources.builders import record, source_with

DECODER = EventDecoder(
    {
        Topic.CLICKS: {
            "store": FieldType.LABEL,
            "gift": FieldType.FLAG,
            "stamps": FieldType.COUNT,
            "tip": FieldType.MONEY,
            "wait_ms": FieldType.MILLISECONDS,
        }
    }
)
TEXT = source_with(
    "store: {path: shop.code}, gift: {path: gift}, stamps: {path: n}, tip: {path: given, money: major}, "
    "wait_ms: {path: wait}"
)


def compiled(exponent: int = 2) -> CompiledSource:
    read = read_sources(TEXT, DECODER.own)
    assert read.file is not None, read.errors
    return CompiledSource(read.file.sources[0], exponent=exponent, decoder=DECODER)


def test_own_fields_are_filled_by_their_types() -> None:
    messages = [
        {"shop": {"code": 7}, "gift": True, "n": "3", "given": "2.50", "wait": 12},
        {"given": 1.5},
        {"shop": {"code": "x" * 129}},
    ]
    batch = compiled().read(0, [record(message, offset) for offset, message in enumerate(messages)])
    events = batch.events[Topic.CLICKS]
    assert [(e.store, e.gift, e.stamps, e.tip, e.wait_ms) for e in events.events] == [
        ("7", True, 3, 250, 12),
        (None, None, None, 150, None),
        (None, None, None, None, None),
    ]
    assert events.dropped_labels == [(2, "store")]


def test_a_value_that_does_not_fit_rejects_the_message_with_its_path() -> None:
    batch = compiled().read(0, [record({"n": -1}), record({"given": "2.505"}, 1)])
    assert sorted((message.index, message.reason, message.detail) for message in batch.rejected) == [
        (0, RejectionReason.OUT_OF_RANGE, "t: `stamps` is -1: it must be at least 0 (from `n`)"),
        (1, RejectionReason.OUT_OF_RANGE, 't: `tip`: `given` is "2.505": money has at most 2 digits after the point'),
    ]


def test_functions_may_make_own_fields() -> None:
    text = "version: 1\nsources: [{topic: t, python: 'shop:events', to: [clicks]}]"
    read = read_sources(text)
    assert read.file is not None, read.errors
    event = {"event_id": "e", "type": "page_view", "ts": 1, "user_id": "u", "session_id": "s", "tip": 5}
    source = CompiledSource(
        read.file.sources[0], exponent=2, function=lambda _value, _headers: [event], decoder=DECODER
    )
    (made,) = source.read(0, [record({})]).events[Topic.CLICKS].events
    assert made.tip == 5


def test_a_field_that_no_model_declares_is_refused() -> None:
    (error,) = read_sources(source_with("store: {path: shop}")).errors
    assert "events on clicks have no field `store`" in error.message


def test_fields_of_the_second_version_of_the_contract_may_always_be_filled() -> None:
    text = source_with("page: {path: page}, load_ms: {path: load}")
    read = read_sources(text)
    assert read.file is not None, read.errors
    source = CompiledSource(read.file.sources[0], exponent=2)
    batch = source.read(0, [record({"page": "home", "load": 5})])
    assert len(batch.events[Topic.CLICKS].events) == 1
    reading = EventDecoder({Topic.CLICKS: {"load_ms": FieldType.MILLISECONDS}})
    source = CompiledSource(read.file.sources[0], exponent=2, decoder=reading)
    (event,) = source.read(0, [record({"page": "home", "load": 5})]).events[Topic.CLICKS].events
    assert event.load_ms == 5


def test_inputs_take_the_decoder_of_the_model(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(TEXT)
    inputs = load_inputs(IngestSettings(sources=str(file)), exponent=2, decoder=DECODER)
    (source,) = inputs.sources.values()
    (event,) = source.read(0, [record({"given": 1})]).events[Topic.CLICKS].events
    assert event.tip == 100

"""Messages framed by a schema registry: Avro, Protobuf, and where their schemas come from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from consumers.errors import UsageError
from consumers.sources.file import RegistryAddress
from consumers.sources.protoc import MAIN_FILE, describe
from consumers.sources.registry import RegistryTarget, SchemaLoader, SchemaRegistryError, registry_target
from consumers.sources.schemas import RegisteredSchema, SchemaKind
from consumers.sources.source import CompiledSource, MappedBatch
from streams.local.doctor.broker import check_schema_registry
from streams.local.doctor.check_results import ok
from tests.consumers.sources.builders import parsed, record, source_with
from tests.support.certificates import Authority
from tests.support.schema_registry import SchemaRegistry, framed

CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "cost", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}]},
        {"name": "sku", "type": ["null", "string"], "default": None},
    ],
}
AVRO_FIELDS = (
    "event_id: {path: id}, ts: {path: at, time: us}, sku: {path: sku, or: [article]}, cost: {path: cost, money: major}"
)
AVRO = (
    source_with("", "format: avro")
    .replace("event_id: {record: true}, ts: {value: 1794373200000}, ", AVRO_FIELDS)
    .replace("version: 1", "version: 1\nregistry: {url: 'http://127.0.0.1:1'}")
)
ID = UUID("12345678-1234-5678-1234-567812345678")
AT = datetime(2026, 11, 11, 5, 0, 0, 123_999, tzinfo=UTC)
UNKNOWN = "the schema registry has no such schema: name the registry of the producer in `registry`"
AT_MS = 1_794_373_200_123


def avro(schema: Any, message: Any) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), message)
    return stream.getvalue()


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with SchemaRegistry() as registry:
        yield registry


def loader_of(registry: SchemaRegistry) -> SchemaLoader:
    return SchemaLoader(RegistryTarget(registry.url))


def read(loader: SchemaLoader, text: str, *values: bytes, now_s: float = 0.0) -> MappedBatch:
    """Load the schemas of messages and map them."""
    if missing := loader.missing(values, now_s):
        asyncio.run(loader.load(missing, now_s))
    source = CompiledSource(parsed(text).sources[0], exponent=2, schemas=loader.schemas)
    return source.read(0, [record(value, offset) for offset, value in enumerate(values)])


def events_of(batch: MappedBatch) -> list[Any]:
    assert batch.rejected == []
    return [event for events in batch.events.values() for event in events.events]


def refusals(batch: MappedBatch) -> list[tuple[str, str]]:
    return [(str(message.reason), message.detail) for message in batch.rejected]


class TestAvro:
    def test_logical_types_are_mapped_exactly(self, registry: SchemaRegistry) -> None:
        schema_id = registry.register("t-value", "AVRO", json.dumps(CLICK))
        message = avro(CLICK, {"id": ID, "at": AT, "cost": Decimal("12.30"), "sku": "a"})
        (event,) = events_of(read(loader_of(registry), AVRO, framed(schema_id, message)))
        assert (event.event_id, event.ts, event.cost, event.sku) == (str(ID), AT_MS, 1230, "a")

    def test_each_message_is_read_by_the_schema_of_its_writer(self, registry: SchemaRegistry) -> None:
        evolved = {**CLICK, "fields": [{"name": "article", "type": "int"}, *CLICK["fields"][:3]]}
        first = registry.register("t-value", "AVRO", json.dumps(CLICK))
        second = registry.register("t-value", "AVRO", json.dumps(evolved))
        common = {"id": ID, "at": AT, "cost": None}
        messages = [
            framed(first, avro(CLICK, {**common, "sku": "a"})),
            framed(second, avro(evolved, {**common, "article": 5})),
        ]
        assert [event.sku for event in events_of(read(loader_of(registry), AVRO, *messages))] == ["a", "5"]

    def test_schemas_may_refer_to_others(self, registry: SchemaRegistry) -> None:
        money = {"type": "record", "name": "shop.Money", "fields": [{"name": "amount", "type": "string"}]}
        price = {"type": "record", "name": "shop.Price", "fields": [{"name": "money", "type": "shop.Money"}]}
        click = {**CLICK, "fields": [*CLICK["fields"][:2], {"name": "price", "type": "shop.Price"}]}
        registry.register("money", "AVRO", json.dumps(money))
        registry.register("price", "AVRO", json.dumps(price), [("shop.Money", "money")])
        schema_id = registry.register(
            "t-value", "AVRO", json.dumps(click), [("shop.Price", "price"), ("shop.Money", "money")]
        )
        nested = {**price, "fields": [{"name": "money", "type": money}]}
        written = {**CLICK, "fields": [*CLICK["fields"][:2], {"name": "price", "type": nested}]}
        message = avro(written, {"id": ID, "at": AT, "price": {"money": {"amount": "1.50"}}})
        text = AVRO.replace("path: cost", "path: price.money.amount")
        (event,) = events_of(read(loader_of(registry), text, framed(schema_id, message)))
        assert event.cost == 150

    def test_bytes_that_do_not_fit_the_schema_are_refused(self, registry: SchemaRegistry) -> None:
        schema_id = registry.register("t-value", "AVRO", json.dumps(CLICK))
        good = avro(CLICK, {"id": ID, "at": AT, "cost": None, "sku": "a"})
        values = [framed(schema_id, payload) for payload in (b"", b"\xff\xff", good[:-1], good + b"x", good)]
        batch = read(loader_of(registry), AVRO, *values)
        assert [reason for reason, _ in refusals(batch)] == ["bad_encoding"] * 4
        assert "1 bytes are left over" in batch.rejected[3].detail
        assert batch.events

    def test_a_message_without_frame_is_refused(self, registry: SchemaRegistry) -> None:
        batch = read(loader_of(registry), AVRO, b'{"id": 1}', b"\0\0\0", b"")
        assert {reason for reason, _ in refusals(batch)} == {"bad_encoding"}
        assert "no frame of a schema registry" in batch.rejected[0].detail


class TestSchemas:
    def test_an_unknown_id_is_refused_and_asked_for_again_after_a_minute(self, registry: SchemaRegistry) -> None:
        loader = loader_of(registry)
        message = framed(100, avro(CLICK, {"id": ID, "at": AT, "cost": None, "sku": "a"}))
        assert refusals(read(loader, AVRO, message)) == [
            (
                "unknown_schema",
                f"t: schema 100: {UNKNOWN}",
            )
        ]
        registry.register("t-value", "AVRO", json.dumps(CLICK))
        assert refusals(read(loader, AVRO, message, now_s=59))
        assert events_of(read(loader, AVRO, message, now_s=61))

    def test_a_schema_is_loaded_once(self, registry: SchemaRegistry) -> None:
        loader = loader_of(registry)
        schema_id = registry.register("t-value", "AVRO", json.dumps(CLICK))
        message = framed(schema_id, avro(CLICK, {"id": ID, "at": AT, "cost": None, "sku": "a"}))
        for now_s in (0, 1000):
            read(loader, AVRO, message, message, now_s=now_s)
        assert registry.requests == [f"/schemas/ids/{schema_id}"]

    @pytest.mark.parametrize(
        ("kind", "text", "why"),
        [
            ("AVRO", '{"type": "recrod"}', "its Avro is invalid"),
            ("AVRO", "{", "its Avro is invalid"),
            ("PROTOBUF", "message {", "its Protobuf is invalid"),
            ("XML", "<a/>", "its type 'XML' is unknown"),
            ("JSON", "{}", "it is a JSON Schema: write `format: json-schema`"),
        ],
    )
    def test_messages_of_an_unusable_schema_are_refused(
        self, registry: SchemaRegistry, kind: str, text: str, why: str
    ) -> None:
        schema_id = registry.register("t-value", kind, text)
        ((reason, detail),) = refusals(read(loader_of(registry), AVRO, framed(schema_id, b"x")))
        assert reason == "unknown_schema"
        assert why in detail

    def test_a_schema_of_another_format_is_refused(self, registry: SchemaRegistry) -> None:
        schema_id = registry.register("t-value", "PROTOBUF", PROTO)
        ((_, detail),) = refusals(read(loader_of(registry), AVRO, framed(schema_id, b"\0")))
        assert detail == f"t: schema {schema_id} is of format protobuf: the source has `format: avro`"

    @pytest.mark.parametrize("name", ["../../etc/x.proto", "/etc/x.proto", ""])
    def test_names_of_references_stay_in_their_folder(self, registry: SchemaRegistry, name: str) -> None:
        registry.register("other", "PROTOBUF", 'syntax = "proto3";')
        schema_id = registry.register("t-value", "PROTOBUF", PROTO, [(name, "other")])
        ((_, detail),) = refusals(read(loader_of(registry), AVRO, framed(schema_id, b"\0")))
        assert f"invalid name {name!r}" in detail

    def test_references_may_be_circular_or_missing(self, registry: SchemaRegistry) -> None:
        registry.register("a", "AVRO", '"string"', [("b", "b")])
        registry.register("b", "AVRO", '"string"', [("a", "a")])
        loader = loader_of(registry)
        circular = registry.register("t-value", "AVRO", json.dumps(CLICK), [("a", "a")])
        missing = registry.register("t-value", "AVRO", json.dumps(CLICK), [("c", "c")])
        message = avro(CLICK, {"id": ID, "at": AT, "cost": None, "sku": "a"})
        assert events_of(read(loader, AVRO, framed(circular, message)))
        ((_, detail),) = refusals(read(loader, AVRO, framed(missing, message)))
        assert "it refers to c version 1, which the registry does not have" in detail


PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/money.proto";
import "confluent/type/decimal.proto";
enum Kind { UNKNOWN = 0; page_view = 1; }
message Other { message Click {
  string id = 1; google.protobuf.Timestamp at = 2; Kind kind = 3; optional string sku = 4; int64 dwell = 5;
  google.type.Money cost = 6; map<string, string> labels = 7; google.protobuf.StringValue device = 8;
  repeated Other others = 9; confluent.type.Decimal exact = 10; string name = 11;
} Click click = 1; int32 a = 2; }
message Second { string id = 1; }
"""
PROTOBUF = """
version: 1
registry: {url: "http://127.0.0.1:1"}
sources:
  - topic: t
    format: protobuf
    events:
      - to: clicks
        fields:
          type: {path: kind}
          event_id: {path: id}
          ts: {path: at}
          user_id: {value: u}
          session_id: {value: s}
          sku: {path: sku, or: [{value: none}]}
          dwell_ms: {path: dwell}
          cost: {path: cost.amount, money: major, or: [exact]}
          channel: {path: labels.channel}
          device: {path: device}
"""


def protobuf(name: str, message: Any, text: str = PROTO) -> bytes:
    """A message from its form in JSON."""
    files = FileDescriptorSet.FromString(asyncio.run(describe(RegisteredSchema(SchemaKind.PROTOBUF, text))))
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    assert files.file[-1].name == MAIN_FILE
    return ParseDict(message, GetMessageClass(pool.FindMessageTypeByName(name))()).SerializeToString()


CLICKED = {"id": "e1", "at": "2026-11-11T05:00:00.123999Z", "kind": "page_view"}
NESTED = b"\x04\x00\x00"
"""Indexes of `Other.Click`: two, 0 and 0."""


class TestProtobuf:
    def test_messages_become_objects(self, registry: SchemaRegistry) -> None:
        schema_id = registry.register("t-value", "PROTOBUF", PROTO)
        cost = {"currencyCode": "CNY", "units": "12", "nanos": 300_000_000}
        full = {**CLICKED, "sku": "a", "dwell": 5, "cost": cost, "labels": {"channel": "app"}, "device": "ios"}
        exact = {"value": "BQ==", "precision": 9, "scale": 2}
        values = [
            framed(schema_id, protobuf("shop.Other.Click", message), NESTED)
            for message in (full, {**CLICKED, "id": "e2", "exact": exact})
        ]
        first, second = events_of(read(loader_of(registry), PROTOBUF, *values))
        found = [(event.event_id, event.ts, event.sku, event.dwell_ms, event.cost) for event in (first, second)]
        assert found == [("e1", AT_MS, "a", 5, 1230), ("e2", AT_MS, "none", 0, 5)]
        assert (first.channel, first.device, second.channel, second.device) == ("app", "ios", None, None)

    def test_a_zero_is_the_first_message_of_the_file(self, registry: SchemaRegistry) -> None:
        schema_id = registry.register("t-value", "PROTOBUF", PROTO)
        click = {"click": CLICKED, "a": 1}
        text = PROTOBUF.replace("path: kind", "path: click.kind").replace("path: id", "path: click.id")
        text = text.replace("path: at", "path: click.at")
        value = framed(schema_id, protobuf("shop.Other", click), b"\0")
        assert [event.event_id for event in events_of(read(loader_of(registry), text, value))] == ["e1"]

    @pytest.mark.parametrize(
        "indexes", [b"", b"\x02", b"\x02\x0a", b"\x04\x00\x08", b"\x03\x00", b"\x01", b"\xff" * 9, b"\x02\x01"]
    )
    def test_an_invalid_message_type_is_refused(self, registry: SchemaRegistry, indexes: bytes) -> None:
        schema_id = registry.register("t-value", "PROTOBUF", PROTO)
        ((reason, _),) = refusals(read(loader_of(registry), PROTOBUF, framed(schema_id, b"", indexes)))
        assert reason == "bad_encoding"

    @pytest.mark.parametrize("payload", [b"\x0a", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\xff" * 20])
    def test_bytes_that_are_no_protobuf_are_refused(self, registry: SchemaRegistry, payload: bytes) -> None:
        schema_id = registry.register("t-value", "PROTOBUF", PROTO)
        ((reason, detail),) = refusals(read(loader_of(registry), PROTOBUF, framed(schema_id, payload, NESTED)))
        assert (reason, "not Protobuf of its schema" in detail) == ("bad_encoding", True)

    def test_schemas_import_references(self, registry: SchemaRegistry) -> None:
        shared = 'syntax = "proto3"; package shared; message Id { string text = 1; }'
        fields = "shared.Id id = 1; string kind = 2; int64 at = 3;"
        text = f'syntax = "proto3"; import "a/shared.proto"; message Click {{ {fields} }}'
        registry.register("shared", "PROTOBUF", shared)
        schema_id = registry.register("t-value", "PROTOBUF", text, [("a/shared.proto", "shared")])
        schema = RegisteredSchema(SchemaKind.PROTOBUF, text, {"a/shared.proto": shared})
        files = FileDescriptorSet.FromString(asyncio.run(describe(schema)))
        pool = DescriptorPool()
        for file in files.file:
            pool.Add(file)
        made = GetMessageClass(pool.FindMessageTypeByName("Click"))
        message = ParseDict({"id": {"text": "e1"}, "kind": "page_view", "at": str(AT_MS)}, made())
        source = PROTOBUF.replace("path: id", "path: id.text")
        value = framed(schema_id, message.SerializeToString(), b"\0")
        assert [event.event_id for event in events_of(read(loader_of(registry), source, value))] == ["e1"]


class TestConnection:
    def test_doctor_reports_the_registry(self, registry: SchemaRegistry) -> None:
        loader = loader_of(registry)
        assert asyncio.run(check_schema_registry(loader)) == ok("schema registry", f"{registry.url} answers")
        registry.stop()
        found = asyncio.run(check_schema_registry(loader))
        assert found.message == f"schema registry {registry.url} does not answer"

    def test_an_unreachable_registry_is_an_error_to_retry(self, registry: SchemaRegistry) -> None:
        loader = loader_of(registry)
        registry.stop()
        with pytest.raises(SchemaRegistryError, match="does not answer: start it, or correct `registry`") as caught:
            asyncio.run(loader.load({1}, 0))
        assert caught.value.retriable
        registry.start()
        asyncio.run(loader.load({1}, 0))

    def test_a_slow_registry_makes_progress(self, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("consumers.sources.registry._LOAD_WITHIN_S", 2)
        answer = registry._answer

        def answer_few(path: str, authorization: str) -> tuple[int, Any]:
            if int(path.rpartition("/")[2]) >= 10:
                sleep(5)
            return answer(path, authorization)

        monkeypatch.setattr(registry, "_answer", answer_few)
        loader, ids = loader_of(registry), set(range(100))
        with pytest.raises(SchemaRegistryError, match=r"did not answer for 100 schemas within 2 s"):
            asyncio.run(loader.load(ids, 0))
        assert loader.schemas.missing(ids, 0) < ids

    def test_another_server_does_not_make_ids_unknown(self, registry: SchemaRegistry) -> None:
        loader = SchemaLoader(RegistryTarget(f"{registry.url}/apis"))
        with pytest.raises(SchemaRegistryError, match="with status 404: check `url` of `registry`"):
            asyncio.run(loader.load({1}, 0))
        assert loader.missing([framed(1, b"")], 0) == {1}

    def test_a_user_and_tls(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        (tmp_path / "password").write_text("t0ps3cret\n")
        certificate = authority.issue("registry").both
        with SchemaRegistry(user="monitor", password="t0ps3cret", certificate=certificate) as secure:
            address = {"url": secure.url, "user": "monitor", "password_file": str(tmp_path / "password")}
            trusting = RegistryAddress(**address, ca_file=str(authority.ca))
            asyncio.run(SchemaLoader(registry_target(trusting)).check())
            with pytest.raises(SchemaRegistryError, match=r"unknown authority: set registry\.ca_file"):
                asyncio.run(SchemaLoader(registry_target(RegistryAddress(**address))).check())
            anonymous = RegistryAddress(url=secure.url, ca_file=str(authority.ca))
            with pytest.raises(SchemaRegistryError, match="rejected requests without a user"):
                asyncio.run(SchemaLoader(registry_target(anonymous)).check())

    def test_a_missing_file_is_a_usage_error(self) -> None:
        address = {"url": "https://localhost", "user": "u", "password_file": "/nowhere"}
        with pytest.raises(UsageError, match=r"registry\.password_file: /nowhere cannot be read"):
            registry_target(RegistryAddress(**address))
        with pytest.raises(UsageError, match=r"registry\.ca_file: /nowhere cannot be read"):
            registry_target(RegistryAddress(url="https://localhost", ca_file="/nowhere"))

"""`salepulse sources`: check, try, suggest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.commands.root import create_app
from tests.consumers.sources.builders import PAID, SHOP, source_with
from tests.consumers.sources.test_ready import SHOPIFY_ORDER, SHOPIFY_REFUND
from tests.support.schema_registry import SchemaRegistry, framed

TWO = SHOP + "  - {topic: other, python: 'shop_events:events', to: [clicks]}\n"
FUNCTION = """
def events(value, headers):
    yield {"event_id": "1", "type": "page_view", "ts": 1794355200000, "user_id": "u", "session_id": str(len(value))}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources.yaml").write_text(SHOP)
    (tmp_path / "two.yaml").write_text(TWO)
    (tmp_path / "shop_events.py").write_text(FUNCTION)
    (tmp_path / "paid.json").write_text(json.dumps(PAID))
    refused = {**PAID, "total_discounts": "1.234"}
    (tmp_path / "several.ndjson").write_text(f"{json.dumps(PAID)}\nnull\n{json.dumps(refused)}\n")
    (tmp_path / "refund.json").write_text(json.dumps([SHOPIFY_REFUND]))
    (tmp_path / "order.json").write_text(json.dumps(SHOPIFY_ORDER))
    return tmp_path


def run(*argv: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(create_app(), ["sources", *map(str, argv)])
    return done.exit_code, done.stdout, done.stderr


def test_check_lists_sources_and_what_they_feed(folder: Path) -> None:
    code, out, _ = run("check", folder / "two.yaml")
    assert (code, out.splitlines()) == (
        0,
        ["shop.orders: json, feeds orders", "other: json, feeds clicks", f"{folder / 'two.yaml'} is valid: 2 sources"],
    )


def test_check_names_file_and_line_of_every_error(folder: Path) -> None:
    (folder / "wrong.yaml").write_text(SHOP.replace("when", "whn"))
    code, _, err = run("check", folder / "wrong.yaml")
    found = "there is no field `whn` here: do you mean `when`?"
    wrong = folder / "wrong.yaml"
    assert (code, err.splitlines()) == (2, [f"salepulse: {wrong}:7: {found}", f"{wrong}:18: {found}"])


def test_check_imports_functions(folder: Path) -> None:
    (folder / "wrong.yaml").write_text(TWO.replace("shop_events:events", "shop_events:none"))
    code, _, err = run("check", folder / "wrong.yaml")
    assert code == 2
    assert "function shop_events:none cannot be imported: AttributeError" in err


@pytest.mark.parametrize(
    ("signature", "fault"),
    [
        ("async def events(value, headers):", "shop_coroutine:events is asynchronous: write `def`"),
        ("def events(value):", "shop_positional:events cannot be called with (value, headers), too many positional"),
    ],
    ids=["shop_coroutine", "shop_positional"],
)
def test_check_calls_for_a_function_of_value_and_headers(
    folder: Path, signature: str, fault: str, request: pytest.FixtureRequest
) -> None:
    module = request.node.callspec.id
    (folder / f"{module}.py").write_text(f"{signature}\n    return []\n")
    (folder / "wrong.yaml").write_text(TWO.replace("shop_events", module))
    code, _, err = run("check", folder / "wrong.yaml")
    assert (code, fault in err) == (2, True), err


def test_check_refuses_topics_that_salepulse_writes_to(folder: Path) -> None:
    (folder / "wrong.yaml").write_text(SHOP.replace("shop.orders", "dead-letters"))
    code, _, err = run("check", folder / "wrong.yaml")
    assert (code, "topic dead-letters is the topic dead-letters of salepulse: remove its source" in err) == (2, True)


def test_try_shows_events_and_refusals(folder: Path) -> None:
    code, out, err = run("try", folder / "sources.yaml", folder / "several.ndjson")
    first, second, third = out.splitlines()
    assert json.loads(first.partition(": ")[2])["type"] == "order_paid"
    assert second.endswith("several.ndjson:2: passed over, tombstone")
    assert 'refused, out_of_range: shop.orders: `discount`: `total_discounts` is "1.234"' in third
    assert (code, err) == (1, "3 messages of shop.orders: 1 refused\n")


def test_try_reads_messages_over_several_lines(folder: Path) -> None:
    (folder / "pretty.json").write_text(f"{json.dumps(PAID, indent=2)}\n\n{json.dumps(PAID, indent=2)}\nnull\n")
    code, out, err = run("try", folder / "sources.yaml", folder / "pretty.json")
    assert (code, len(out.splitlines()), err) == (0, 3, "3 messages of shop.orders: 0 refused\n")


def test_try_notes_times_of_1970(folder: Path) -> None:
    (folder / "ms.yaml").write_text(SHOP.replace("time: iso", "time: ms"))
    (folder / "seconds.json").write_text(json.dumps({**PAID, "processed_at": 1794373200}))
    code, _, err = run("try", folder / "ms.yaml", folder / "seconds.json")
    assert (code, "1 event of 1970, such as 450789469/2026-11-11T00:00:01-05:00 with `ts`" in err) == (
        0,
        True,
    )


def test_suggest_names_samples_that_are_no_json(folder: Path) -> None:
    (folder / "cut.json").write_text('{"id": ')
    code, _, err = run("suggest", folder / "cut.json")
    assert code == 2
    assert err.endswith("the samples are not JSON: save messages in JSON, without the frame of a registry\n")


def test_try_needs_a_topic_if_there_are_several(folder: Path) -> None:
    code, _, err = run("try", folder / "two.yaml", folder / "paid.json")
    assert (code, "--topic" in err) == (2, True)
    code, out, _ = run("try", folder / "two.yaml", folder / "paid.json", "--topic", "other", "--json")
    (event,) = json.loads(out)["events"]
    assert (code, event["session_id"]) == (0, str(len(json.dumps(PAID))))


def test_try_reads_a_message_with_the_frame_of_a_registry(folder: Path) -> None:
    schema = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
    with SchemaRegistry() as registry:
        schema_id = registry.register("shop.orders-value", "AVRO", json.dumps(schema))
        (folder / "avro.yaml").write_text(
            source_with("", "format: avro", to="logistics")
            .replace("order_id: {value: o}", "order_id: {path: id}")
            .replace("version: 1", f"version: 1\nregistry: {{url: '{registry.url}'}}")
        )
        (folder / "order.bin").write_bytes(framed(schema_id, b"\x0a"))
        code, out, _ = run("try", folder / "avro.yaml", folder / "order.bin", "--json")
    assert (code, [event["order_id"] for event in json.loads(out)["events"]]) == (0, ["5"])
    code, _, err = run("try", folder / "avro.yaml", folder / "order.bin")
    assert (code, f"schema registry {registry.url} does not answer" in err) == (1, True)


def test_suggest_prints_the_ready_file_that_fits(folder: Path) -> None:
    code, out, err = run("suggest", folder / "refund.json")
    assert (code, "topic: shopify.refunds" in out) == (0, True)
    assert err == "shopify makes events of 1 of 1 message; change the topics' names\n"
    code, out, _ = run("suggest", folder / "order.json", "--header", "X-Shopify-Topic=orders/paid")
    assert (code, "topic: shopify.orders" in out) == (0, True)


def test_suggest_says_if_none_fits(folder: Path) -> None:
    code, _, err = run("suggest", folder / "paid.json")
    assert code == 1
    assert "no ready file makes events of these 1 message; there are files for debezium-outbox, ga4" in err

"""Records round-trip in few bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.shipping.facts import (
    MAX_PARTS,
    NO_FACTS,
    UNKNOWN,
    UNKNOWN_MS,
    Creation,
    OrderFacts,
    OrderLabels,
    PartialRefund,
    Payment,
    Shipment,
)
from streams.shipping.record import decode, encode, encode_creation, encode_payment

_times = st.integers(0, 1 << 44)
_ids = (
    st.text(min_size=1, max_size=128)
    | st.uuids().map(str)
    | st.uuids().map(lambda uuid: uuid.hex)
    | st.binary(min_size=1, max_size=64).map(bytes.hex)
)
_label = st.just("") | st.text(max_size=128)
_labels = st.builds(OrderLabels, _label, _label, _label, _label, _label, _label, _label)
_shipments = st.builds(Shipment, _times, _ids, st.just(UNKNOWN_MS) | _times, _label, _label, _label)
_payments = st.builds(Payment, _times, _ids, _labels, st.integers(0, 10**15), st.integers(1, 10**12)) | st.builds(
    Payment, _times, _ids, _labels, st.just(UNKNOWN), st.just(UNKNOWN)
)
_creations = st.builds(Creation, _times, _ids, _labels)
_part = st.builds(PartialRefund, _times, st.integers(0, 2**32 - 1), st.integers(0, 10**15))
_parts = st.sets(_part, max_size=4).map(lambda held: tuple(sorted(held)))
_facts = st.builds(
    OrderFacts,
    st.none() | _payments,
    st.none() | _times,
    st.none() | _shipments,
    st.none() | _shipments,
    st.none() | _times,
    st.none() | _creations,
    _parts,
    _parts,
)
_SAME = OrderLabels("east", "live", "d11", "true")


@given(_facts.filter(lambda facts: facts != NO_FACTS))
@example(OrderFacts(Payment(1, "75" + "00" * 16, OrderLabels(), 1, 1)))
@example(OrderFacts(Payment(1, "AB", OrderLabels(), 1, 1)))
@example(OrderFacts(Payment(1, "00000000-0000-0000-0000-00000000000 ", OrderLabels(), 0, 1)))
@example(OrderFacts(Payment(1, "e", OrderLabels(), 0, 1), created=Creation(1, "e", OrderLabels())))
@example(OrderFacts(Payment(1, "e", _SAME, UNKNOWN, UNKNOWN), created=Creation(1, "e", _SAME)))
@example(OrderFacts(Payment(1, "e", OrderLabels(), 5, 1), created=Creation(1, "e", _SAME)))
def test_a_record_round_trips(facts: OrderFacts) -> None:
    assert decode(encode(facts)) == facts


@given(_payments)
def test_encode_payment_equals_encode(paid: Payment) -> None:
    assert decode(encode_payment(paid)) == OrderFacts(paid)
    assert encode_payment(paid) == encode(OrderFacts(paid))


@given(_creations)
def test_encode_creation_equals_encode(created: Creation) -> None:
    assert decode(encode_creation(created)) == OrderFacts(created=created)
    assert encode_creation(created) == encode(OrderFacts(created=created))


UUID = "6f1c2f4e-8d2f-4c8e-9a45-0d6c1b1f1a11"
PAID = Payment(1_700_000_000_000, UUID, OrderLabels("east", "live", "d11"), UNKNOWN, UNKNOWN)
SHIPPED = Shipment(1_700_050_000_000, "e-7", 1_700_300_000_000, "east", "dhl", "w-1")
DELIVERED = Shipment(1_700_150_000_000, "e-8", UNKNOWN_MS, "", "", "")
_PAID = "9400c411756f1c2f4e8d2f4c8e9a450d6c1b1f1a11c093a465617374a46c697665a3643131"
_SHIPPED = "94ce02faf080c40474652d37ce0ee6b28093a465617374a364686ca3772d31"


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        ("92cf0000018bcfe56800" + _PAID, OrderFacts(PAID)),
        ("95cf0000018bcfe56800" + _PAID + "c0c0ce0007a120", OrderFacts(PAID, 1_700_000_500_000)),
        ("95cf0000018bcfed0920c0c0c000", OrderFacts(None, 1_700_000_500_000)),
        (
            "96cf0000018bcfe56800" + _PAID + _SHIPPED + "92ce08f0d180c40474652d38c0ce389fd980",
            OrderFacts(PAID, None, SHIPPED, DELIVERED, 1_700_950_000_000),
        ),
        (
            "92cf0000018bcfe568009200c411756f1c2f4e8d2f4c8e9a450d6c1b1f1a11",
            OrderFacts(PAID._replace(labels=OrderLabels())),
        ),
        ("95cf0000018bcfe56800" + _PAID + _SHIPPED + "c0d1fc18", OrderFacts(PAID, 1_699_999_999_000, SHIPPED)),
    ],
)
def test_reads_records_without_sizes_and_creations(record: str, facts: OrderFacts) -> None:
    """Bytes of an earlier version keep their meaning."""
    assert decode(bytes.fromhex(record)) == facts
    assert decode(encode(facts)) == facts


def test_a_record_is_small() -> None:
    labels = OrderLabels("east", "live", "d11")
    created = Creation(1_700_000_000_000, UUID, labels)
    paid = Payment(1_700_000_020_000, UUID, labels, 25_800, 2)
    shipped = Shipment(1_700_050_000_000, UUID, 1_700_300_000_000, "east", "dhl", "w-1")
    assert len(encode(OrderFacts(created=created))) < 55
    assert len(encode(OrderFacts(paid, created=created))) < 90
    assert len(encode(OrderFacts(paid, None, shipped, shipped, created=created))) < 180


def test_the_largest_record_fits_the_length_field_of_the_script() -> None:
    """Lengths are written in 2 bytes."""
    most = tuple(PartialRefund(16_725_225_600_000 + i, 2**32 - 1, 10**15) for i in range(MAX_PARTS))
    label = "\U0001f600" * 128
    labels = OrderLabels(label, label, label, "false", label, label, label)
    other = OrderLabels(label, label, label, "true", label, label, label)
    paid, created = Payment(0, label, labels, 10**15, 10**12), Creation(5, label, other)
    shipped = Shipment(16_725_225_600_000, label, 16_725_225_600_000, label, label, label)
    assert len(encode(OrderFacts(paid, 1, shipped, shipped, 1, created, most, most))) < 1 << 16

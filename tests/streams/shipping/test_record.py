"""A record gives back the facts that it was made of, in few bytes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from streams.shipping.facts import NOTHING, UNKNOWN_MS, Facts, Payment, Shipment
from streams.shipping.record import decode, encode, encode_payment

_times = st.integers(0, 1 << 44)
_ids = (
    st.text(min_size=1, max_size=128)
    | st.uuids().map(str)
    | st.uuids().map(lambda uuid: uuid.hex)
    | st.binary(min_size=1, max_size=64).map(bytes.hex)
)
_labels = st.just("") | st.text(max_size=128)
_shipments = st.builds(Shipment, _times, _ids, st.just(UNKNOWN_MS) | _times, _labels, _labels, _labels)
_facts = st.builds(
    Facts,
    st.none() | st.builds(Payment, _times, _ids, _labels, _labels, _labels),
    st.none() | _times,
    st.none() | _shipments,
    st.none() | _shipments,
    st.none() | _times,
)


@given(_facts.filter(lambda facts: facts != NOTHING))
@example(Facts(Payment(1, "75" + "00" * 16, "", "", "")))
@example(Facts(Payment(1, "AB", "", "", "")))
@example(Facts(Payment(1, "00000000-0000-0000-0000-00000000000 ", "", "", "")))
def test_a_round_trip_changes_nothing(facts: Facts) -> None:
    assert decode(encode(facts)) == facts


@given(st.builds(Payment, _times, _ids, _labels, _labels, _labels))
def test_the_record_of_a_payment_alone(paid: Payment) -> None:
    assert encode_payment(paid) == encode(Facts(paid))


def test_a_record_is_small() -> None:
    uuid = "6f1c2f4e-8d2f-4c8e-9a45-0d6c1b1f1a11"
    paid = Payment(1_700_000_000_000, uuid, "east", "live", "d11")
    shipped = Shipment(1_700_050_000_000, uuid, 1_700_300_000_000, "east", "dhl", "w-1")
    assert len(encode(Facts(paid))) < 50
    assert len(encode(Facts(paid, None, shipped, shipped))) < 140

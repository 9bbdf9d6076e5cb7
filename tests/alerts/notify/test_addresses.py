"""Forbidden and allowed addresses."""

from __future__ import annotations

import asyncio
import socket

import pytest

from alerts.notify.addresses import forbidden_reason, parse_networks
from alerts.notify.http import Http, Request, resolve, retry_after_s
from alerts.notify.outcome import DeliveryFailure, Failed
from tests.support.receiving import http_receiver

INSIDE = (
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1"),
)


@pytest.mark.parametrize("address", INSIDE)
def test_private_addresses_are_forbidden(address: str) -> None:
    assert forbidden_reason(address) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert forbidden_reason(address) is None


def test_only_configured_networks_are_allowed() -> None:
    allowed = parse_networks(["10.1.0.0/16", "::1"])
    assert forbidden_reason("10.1.2.3", allowed) is None
    assert forbidden_reason("::ffff:10.1.2.3", allowed) is None
    assert forbidden_reason("::1", allowed) is None
    assert forbidden_reason("10.2.0.1", allowed) is not None


anyio = pytest.mark.anyio


@anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_every_notation_of_an_address_is_checked(host: str) -> None:
    async with http_receiver() as receiver, Http(timeout_s=2) as http:
        failed = await http.post(Request(f"http://{host}:{receiver.url.rpartition(':')[2]}/x", b"{}"))
    assert isinstance(failed, Failed)
    assert failed.fault in (DeliveryFailure.FORBIDDEN_ADDRESS, DeliveryFailure.UNREACHABLE)
    assert not receiver.requests


@anyio
async def test_a_name_of_a_public_and_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 443)) for host in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(OSError, match=r"10\.0\.0\.1 is not a public address"):
        await resolve("rebind.example", 443, ())


@anyio
async def test_it_connects_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves differently the second time is not connected to."""
    asked = []

    async def rebinding(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with http_receiver() as receiver, Http(parse_networks(["127.0.0.0/8"]), timeout_s=2) as http:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
        await http.post(Request(f"http://rebind.example:{receiver.url.rpartition(':')[2]}/x", b"{}"))
    assert asked == ["rebind.example"]
    assert [got.headers["Host"].partition(":")[0] for got in receiver.requests] == ["rebind.example"]


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "Fri, 99 Nov"])
def test_an_invalid_retry_after_is_ignored(value: str) -> None:
    assert retry_after_s(value, {}) is None


def test_a_retry_after_is_an_hour_at_most() -> None:
    assert retry_after_s("999999") == 3600

"""HTTP requests to receivers: to checked addresses, without redirects, limited in time and size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from socket import AF_UNSPEC, SOCK_STREAM, AddressFamily
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from alerts.notify.addresses import Network, forbidden_reason
from alerts.notify.outcome import DeliveryFailure, Failed

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024
_LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Request:
    """A POST request."""

    url: str = field(repr=False)
    """May contain a token."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response."""

    status: int
    body: bytes
    """The first 64 KiB."""
    retry_after_s: float | None = None


class ForbiddenAddressError(OSError):
    """The host has an address that is not allowed."""


async def resolve(host: str, port: int, allowed: Sequence[Network]) -> list[tuple[AddressFamily, str]]:
    """Resolve a host to its addresses, all of which must be allowed.

    Raises:
        ForbiddenAddressError: an address is not allowed, even if others are.
        OSError: the name cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    resolved = await loop.getaddrinfo(host, port, family=AF_UNSPEC, type=SOCK_STREAM)
    for _, _, _, _, address in resolved:
        if reason := forbidden_reason(str(address[0]), allowed):
            raise ForbiddenAddressError(f"{host} is forbidden: {reason}; add its network to allow_networks")
    return [(AddressFamily(family), str(address[0])) for family, _, _, _, address in resolved]


class CheckedResolver(AbstractResolver):
    """An aiohttp resolver that returns only checked addresses."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a host."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for kind, address in await resolve(host, port, self._allowed)
        ]

    async def close(self) -> None:
        """Nothing to close."""


class Http:
    """HTTP client for receivers. Use as `async with`."""

    def __init__(
        self, allowed: Sequence[Network] = (), *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = allowed
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._tls = tls

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._allowed),
            use_dns_cache=False,
            ssl=self._tls or True,
            force_close=True,  # messages are rare, and an idle connection is likely broken
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, request: Request) -> HttpResponse | Failed:
        """Send one request. Failures name only the host, because the rest of a URL may be secret."""
        host = urlsplit(request.url).hostname or ""
        try:
            await check_ip_literal(host, self._allowed)
            async with self._session.post(
                request.url, data=request.body, headers=dict(request.headers), allow_redirects=False
            ) as response:
                body = await response.content.read(_MOST_BYTES)
                return HttpResponse(
                    response.status, body, retry_after_s(response.headers.get("Retry-After"), response.headers)
                )
        except TimeoutError:
            return Failed(DeliveryFailure.TIMEOUT, f"{host} did not answer in {self._timeout.total:g} s")
        except ForbiddenAddressError as error:
            return Failed(DeliveryFailure.FORBIDDEN_ADDRESS, str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if (cause := _forbidden_cause(error)) is not None:
                return Failed(DeliveryFailure.FORBIDDEN_ADDRESS, str(cause))
            return Failed(DeliveryFailure.UNREACHABLE, f"{host} cannot be reached ({type(error).__name__})")


async def check_ip_literal(host: str, allowed: Sequence[Network]) -> None:
    """Check a host that is an IP address; aiohttp calls resolvers only for names.

    Raises ForbiddenAddressError if it is not allowed.
    """
    try:
        reason = forbidden_reason(host.strip("[]"), allowed)
    except ValueError:
        return
    if reason:
        raise ForbiddenAddressError(f"{reason}; add its network to allow_networks")


def check_response(answer: HttpResponse, host: str, accepted: Iterable[int] = range(200, 300)) -> Failed | None:
    """Return the failure of an HTTP status; None: success."""
    if answer.status in accepted:
        return None
    detail = f"{host} returned status {answer.status}"
    if answer.status == 429:
        return Failed(DeliveryFailure.RATE_LIMITED, detail, answer.retry_after_s)
    if answer.status >= 500 or answer.status == 408:
        return Failed(DeliveryFailure.SERVER_ERROR, detail, answer.retry_after_s)
    if 300 <= answer.status < 400:
        return Failed(DeliveryFailure.REFUSED, f"{detail}: redirects are not followed; configure the target URL")
    return Failed(DeliveryFailure.REFUSED, detail, answer.retry_after_s)


def retry_after_s(value: str | None, headers: Mapping[str, str] | None = None) -> float | None:
    """Parse a Retry-After header, in seconds or as a date, up to an hour; None: absent or invalid.

    A date is relative to the response's Date, because the clocks may differ.

    >>> retry_after_s("7"), retry_after_s("soon"), retry_after_s("-1")
    (7.0, None, None)
    >>> retry_after_s("Fri, 13 Nov 2026 00:01:00 GMT", {"Date": "Fri, 13 Nov 2026 00:00:00 GMT"})
    60.0
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), _LONGEST_WAIT_S)
    try:
        until, date = parsedate_to_datetime(value), parsedate_to_datetime((headers or {}).get("Date", ""))
    except ValueError:
        return None
    return min(max((until - date).total_seconds(), 0.0), _LONGEST_WAIT_S)


def _forbidden_cause(error: BaseException) -> ForbiddenAddressError | None:
    """Unwrap the resolver's error from aiohttp's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None

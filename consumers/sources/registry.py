"""The client of a schema registry: fetches schemas by id, and compiles them."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr

from consumers.errors import SalepulseError, UsageError
from consumers.secret_files import read_secret
from consumers.sources.schemas import (
    CompiledSchema,
    RegisteredSchema,
    SchemaCache,
    SchemaCompileError,
    SchemaKind,
    schema_ids,
)
from consumers.tls import TlsFiles, client_ssl_context, tls_error_message

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from consumers.sources.file import RegistryAddress

_WITHIN_S = 5.0
"""Time-out of a request."""
_LOAD_WITHIN_S = 15.0
"""Time-out of loading the schemas of a batch; those that were loaded are kept."""
_AT_ONCE = 8
"""Requests at the same time."""
_MOST_REFERENCES = 200
_UNKNOWN_SCHEMA = 40403
"""The registry's code of an id that it does not have. A 404 without it is another server's."""
_KINDS = {"AVRO": SchemaKind.AVRO, "PROTOBUF": SchemaKind.PROTOBUF, "JSON": SchemaKind.JSON}


class SchemaRegistryError(SalepulseError):
    """The registry gives no answer, or a useless one. Always retriable."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


@dataclass(frozen=True, slots=True)
class RegistryTarget:
    """Where a registry is."""

    url: str
    """Without a slash at its end."""
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    tls: TlsFiles = field(default_factory=TlsFiles)


def registry_target(address: RegistryAddress) -> RegistryTarget:
    """The target of the file's `registry`. Raises UsageError for an unreadable file or certificate."""
    password = read_secret("registry.password", SecretStr(""), address.password_file) if address.user else ""
    tls = TlsFiles(address.ca_file, address.cert_file, address.key_file)
    target = RegistryTarget(address.url.rstrip("/"), address.user, SecretStr(password), tls)
    if target.url.startswith("https:"):
        _ssl_context(target)
    return target


def _ssl_context(target: RegistryTarget) -> Any:
    try:
        return client_ssl_context(target.tls, "registry")
    except UsageError as error:
        raise UsageError(_dotted(str(error))) from None


def _dotted(text: str) -> str:
    """The names of the file's fields in a message about TLS."""
    for name in ("ca_file", "cert_file", "key_file"):
        text = text.replace(f"registry_{name}", f"registry.{name}")
    return text


class SchemaLoader:
    """Fetches and compiles schemas into a cache."""

    def __init__(self, target: RegistryTarget) -> None:
        self.target = target
        self.schemas = SchemaCache()

    def missing(self, values: Iterable[bytes | None], now_s: float) -> set[int]:
        """The ids of messages whose schemas must be loaded before they can be read. `now_s`: monotonic."""
        return self.schemas.missing(schema_ids(values), now_s)

    async def load(self, ids: Collection[int], now_s: float) -> None:
        """Load schemas. An id that the registry does not have, or whose schema is invalid, is noted as such.

        Raises SchemaRegistryError; schemas that were loaded until then are kept.
        """
        limit = asyncio.Semaphore(_AT_ONCE)
        async with self._session() as session:
            calls = _RegistryCalls(session, self.target)

            async def load_one(schema_id: int) -> None:
                async with limit:
                    await self._load(calls, schema_id, now_s)

            try:
                async with asyncio.timeout(_LOAD_WITHIN_S), asyncio.TaskGroup() as tasks:
                    for schema_id in sorted(ids):
                        tasks.create_task(load_one(schema_id))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            except TimeoutError:
                raise SchemaRegistryError(
                    f"schema registry {self.target.url} did not answer for {len(ids)} schemas within "
                    f"{_LOAD_WITHIN_S:g} s: check its load"
                ) from None

    async def check(self) -> None:
        """Ask the registry for its schema types. Raises SchemaRegistryError."""
        async with self._session() as session:
            await _RegistryCalls(session, self.target).get("/schemas/types")

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        target = self.target
        credentials = f"{target.user}:{target.password.get_secret_value()}".encode()
        headers = {"Authorization": f"Basic {b64encode(credentials).decode()}"} if target.user else {}
        context = _ssl_context(target) if target.url.startswith("https:") else True
        timeout = ClientTimeout(total=_WITHIN_S)
        return ClientSession(connector=TCPConnector(ssl=context), headers=headers, timeout=timeout)

    async def _load(self, calls: _RegistryCalls, schema_id: int, now_s: float) -> None:
        answer = await calls.get(f"/schemas/ids/{schema_id}", unknown_codes=(_UNKNOWN_SCHEMA,))
        if answer is None:
            self.schemas.add_unknown(schema_id, now_s)
            return
        try:
            self.schemas.add(schema_id, await _compile(await calls.resolve(answer)))
        except SchemaCompileError as error:
            self.schemas.add_invalid(schema_id, str(error))


async def _compile(schema: RegisteredSchema) -> CompiledSchema:
    match schema.kind:
        case SchemaKind.AVRO:
            from consumers.sources.avro import compile_avro

            return compile_avro(schema)
        case SchemaKind.PROTOBUF:
            from consumers.sources.protobuf import compile_protobuf
            from consumers.sources.protoc import MAIN_FILE, describe

            try:
                return compile_protobuf(await describe(schema), MAIN_FILE)
            except (OSError, TimeoutError) as error:
                raise SchemaRegistryError(
                    f"protoc failed ({error!r}): check the disk and load of this machine"
                ) from error
    raise SchemaCompileError("it is a JSON Schema: write `format: json-schema`")


class _RegistryCalls:
    """Requests to a registry."""

    def __init__(self, session: ClientSession, target: RegistryTarget) -> None:
        self._session = session
        self._target = target

    async def get(self, path: str, unknown_codes: Collection[int] = ()) -> Any:
        """The JSON of an answer; None if its error code is one of `unknown_codes`. Raises SchemaRegistryError."""
        from aiohttp import ClientError

        where = f"schema registry {self._target.url}"
        try:
            async with self._session.get(self._target.url + path, allow_redirects=False) as response:
                body, status = await response.read(), response.status
        except TimeoutError:
            raise SchemaRegistryError(f"{where} did not answer within {_WITHIN_S:g} s: check its load") from None
        except (ClientError, OSError) as error:
            cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
            reason = tls_error_message(cause, self._target.tls, "registry")
            raise SchemaRegistryError(
                f"{where}: {_dotted(reason)}"
                if reason
                else f"{where} does not answer: start it, or correct `registry` in the file of sources"
            ) from None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if status == 200 and answer is not None:
            return answer
        if status in (401, 403):
            user = f"user {self._target.user!r}" if self._target.user else "requests without a user"
            raise SchemaRegistryError(f"{where} rejected {user}: check `user` and `password_file` of `registry`")
        if status == 404 and isinstance(answer, dict) and answer.get("error_code") in unknown_codes:
            return None
        raise SchemaRegistryError(f"{where} answered {path} with status {status}: check `url` of `registry`")

    async def resolve(self, answer: Any) -> RegisteredSchema:
        """The schema in an answer, with all that it refers to."""
        kind, text = _schema_in(answer)
        references: dict[str, str] = {}
        await self._add_references(answer, references, set())
        return RegisteredSchema(kind, text, references)

    async def _add_references(self, answer: Any, found: dict[str, str], under_way: set[str]) -> None:
        for reference in answer.get("references") or ():
            try:
                name, subject, version = str(reference["name"]), str(reference["subject"]), int(reference["version"])
            except (KeyError, TypeError, ValueError):
                raise SchemaCompileError("it has an invalid reference") from None
            if name in found or name in under_way:
                continue
            if len(under_way) >= _MOST_REFERENCES:
                raise SchemaCompileError(f"it refers to more than {_MOST_REFERENCES} schemas")
            under_way.add(name)
            path = f"/subjects/{quote(subject, safe='')}/versions/{version}"
            referred = await self.get(path, unknown_codes=(40401, 40402))
            if referred is None:
                raise SchemaCompileError(f"it refers to {subject} version {version}, which the registry does not have")
            await self._add_references(referred, found, under_way)
            found[name] = _schema_in(referred)[1]


def _schema_in(answer: Any) -> tuple[SchemaKind, str]:
    if not isinstance(answer, dict) or not isinstance(answer.get("schema"), str):
        raise SchemaRegistryError("the schema registry answered without a schema: check `url` of `registry`")
    kind = _KINDS.get(answer.get("schemaType") or "AVRO")
    if kind is None:
        raise SchemaCompileError(f"its type {answer['schemaType']!r} is unknown")
    return kind, answer["schema"]

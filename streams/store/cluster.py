"""Client of a Redis Cluster with the interface of the single-node client.

Each call uses the keys of one shard, hence of one node. redis-py's cluster client maintains the nodes, their slots and
connections; this module sends the commands, so that callers need not know which client they have:

- failures raise the same exceptions as the single-node client and are never retried, since only the caller knows
  whether a command may be repeated. Only commands that a node did not execute are redirected (MOVED, ASK, TRYAGAIN);
- a pipeline with `transaction` is one MULTI … EXEC on one node; redis-py would run each of its commands in a thread of
  its own;
- after a failure, or a refusal that another node may not repeat, the nodes are discovered again without closing
  connections that other calls use, as redis-py would. If no known node answers, the configured address is used, which
  may resolve to other machines by then;
- commands without a key run on every node that holds keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.cluster import PRIMARY
from redis.commands import AsyncCoreCommands
from redis.exceptions import (
    AskError,
    ExecAbortError,
    MovedError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streams.store.refusal_kinds import RECONNECT_REFUSALS, refusal_of

_LOST = (RedisConnectionError, RedisTimeoutError, OSError)
_NOT_DONE = (AskError, TryAgainError)
"""MOVED is a kind of AskError."""
_MAX_REDIRECTS, _PAUSE_S = 10, 0.02
_NOT_A_CLUSTER = (
    "it is not part of a Redis Cluster, but redis_cluster is true: unset redis_cluster, or name a node of the cluster"
)


class Cluster(RedisCluster):
    """A client of all nodes."""

    discovery_lock: asyncio.Lock
    named: tuple[str, int]
    """Host and port of the configured node."""

    @classmethod
    def at(cls, url: str, **options: Any) -> Self:
        """The cluster of the node at a URL; does not connect yet."""
        address: dict[str, Any] = {"host": "localhost", "port": 6379, **parse_url(url)}
        client: Any = cls.from_url(url, host="localhost", **options)
        client.named, client.discovery_lock = (address["host"], address["port"]), asyncio.Lock()
        return client  # type: ignore[no-any-return]

    async def initialize(self, *_: object, **__: object) -> Self:
        """Discover the nodes if due. Raises what the single-node client raises when Redis is unavailable or denies
        access."""
        if self._initialize:
            async with self.discovery_lock:
                if self._initialize:
                    with _as_redis_errors():
                        await self.nodes_manager.initialize([self.named])
                    self._initialize = False
        return self

    async def aclose(self) -> None:
        """Close all connections."""
        self._initialize = True
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node of its key, or, without a key, to all nodes; then return the answer of one."""
        await self.initialize()
        if args[0] not in self.command_flags:
            return (await self.together([PipelineCommand(0, *args, **options)]))[0]
        work = [(node, [PipelineCommand(0, *args, **options)]) for node in self.get_primaries()]
        await self._pipelines(work)
        return _answers(command for _, (command,) in work)[0]

    def pipeline(self, transaction: bool | None = True, shard_hint: str | None = None) -> ClusterPipeline:  # type: ignore[override]
        """A pipeline of commands; with `transaction` they concern one shard and run atomically."""
        return ClusterPipeline(self, at_one_moment=bool(transaction))

    async def servers(self) -> list[Redis]:
        """A client of each node that holds keys, for server commands. The caller closes them."""
        await self.initialize()
        return [
            Redis.from_pool(ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs))
            for node in self.get_primaries()
        ]

    def holder(self, key: str) -> str:
        """The host:port of the node that holds a key, once the nodes are known."""
        return self.nodes_manager.get_node_from_slot(self.keyslot(key)).name

    async def time_at(self, key: str) -> tuple[int, int]:
        """The clock of the node that holds a key: seconds and microseconds."""
        await self.initialize()
        command = PipelineCommand(0, "TIME")
        await self._pipelines([(self.nodes_manager.get_node_from_slot(self.keyslot(key)), [command])])
        seconds, micros = _answers([command])[0]
        return int(seconds), int(micros)

    async def together(self, commands: Sequence[PipelineCommand]) -> list[Any]:
        """Send commands to all nodes concurrently. Raises the first error among the answers."""
        await self.initialize()
        work: dict[ClusterNode, list[PipelineCommand]] = {}
        for command in commands:
            work.setdefault(self._node_of(command), []).append(command)
        await self._pipelines(work.items())
        for command in commands:
            if isinstance(command.result, _NOT_DONE):
                await self._follow(command)
        return _answers(commands)

    async def at_one_moment(self, commands: Sequence[PipelineCommand]) -> list[Any]:
        """Run commands of one shard atomically. Raises the first error.

        While a slot migrates, no node runs commands on several keys if it lacks one of them.
        """
        await self.initialize()
        node, asking = self._node_of(commands[0]), False
        for _ in range(_MAX_REDIRECTS):
            try:
                with self._rediscover_on_failure():
                    answers = await _exec(node, commands, asking=asking)
            except _NOT_DONE as refusal:
                node, asking = await self._redirect_of(refusal, commands[0])
                continue
            for command, answer in zip(commands, answers, strict=True):
                command.result = answer if isinstance(answer, Exception) else self._read(command, answer)
            return _answers(commands)
        raise RedisConnectionError(
            f"the nodes of the cluster disagree on the owner of {_key(commands[0])!r}, or its slot is migrating"
        )

    async def _follow(self, command: PipelineCommand) -> None:
        """Resend a command that was not executed to the current node of its keys."""
        for _ in range(_MAX_REDIRECTS):
            if not isinstance(command.result, _NOT_DONE):
                return
            node, asking = await self._redirect_of(command.result, command)
            await self._pipelines([(node, [PipelineCommand(0, "ASKING"), command] if asking else [command])])

    async def _redirect_of(self, refusal: Exception, command: PipelineCommand) -> tuple[ClusterNode, bool]:
        """The node to redirect a refused command to, and whether ASKING must precede it on the same connection."""
        match refusal:
            case MovedError():
                await self.nodes_manager.move_slot(refusal)
            case AskError():  # applies to one command or transaction
                return self._node_at(refusal.host, refusal.port), True
            case _:  # its keys are on two nodes while the slot migrates
                await asyncio.sleep(_PAUSE_S)
        return self._node_of(command), False

    async def _pipelines(self, work: Iterable[tuple[ClusterNode, list[PipelineCommand]]]) -> None:
        """Send each node its commands and await all answers: an unread answer would be taken for the next command's."""
        with self._rediscover_on_failure():
            sent = [(node.execute_pipeline(commands), commands) for node, commands in work]
            for outcome in await asyncio.gather(*(sending for sending, _ in sent), return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            for result in (command.result for _, commands in sent for command in commands):
                if isinstance(result, _LOST):
                    raise result
                if isinstance(result, RedisError) and refusal_of(result) in RECONNECT_REFUSALS:
                    self._initialize = True

    @contextmanager
    def _rediscover_on_failure(self) -> Iterator[None]:
        """Discover the nodes before the next call if this one fails or is refused by a node that may have lost the
        slot."""
        try:
            yield
        except (*_LOST, RedisError) as error:
            if isinstance(error, _LOST) or refusal_of(error) in RECONNECT_REFUSALS:
                self._initialize = True
            raise

    def _node_of(self, command: PipelineCommand) -> ClusterNode:
        return self.nodes_manager.get_node_from_slot(self.keyslot(_key(command)))

    def _node_at(self, host: str, port: int) -> ClusterNode:
        """The node at an address, even if it holds no slots yet: its first slot may be migrating to it."""
        node = self.get_node(host, port)
        if node is None:
            node = ClusterNode(host, port, PRIMARY, **self.connection_kwargs)
            self.nodes_manager.set_nodes(self.nodes_manager.nodes_cache, {node.name: node})
        return node

    def _read(self, command: PipelineCommand, answer: Any) -> Any:
        options = {name: value for name, value in command.kwargs.items() if name != "keys"}
        parse = self.response_callbacks.get(command.args[0])
        return parse(answer, **options) if parse else answer


class ClusterPipeline(AsyncCoreCommands):
    """Commands collected for one pipeline."""

    _event_dispatcher: Any = None  # declared by the base class

    def __init__(self, cluster: Cluster, *, at_one_moment: bool) -> None:
        self._send = cluster.at_one_moment if at_one_moment else cluster.together
        self._commands: list[PipelineCommand] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def execute_command(self, *args: Any, **options: Any) -> Self:
        """Add a command."""
        self._commands.append(PipelineCommand(len(self._commands), *args, **options))
        return self

    async def execute(self) -> list[Any]:
        """Send the commands; returns their answers in order."""
        commands, self._commands = self._commands, []
        return await self._send(commands) if commands else []


def _key(command: PipelineCommand) -> Any:
    """The first key of a command. Commands without a key cannot be sent here."""
    return command.args[3 if command.args[0] in ("EVAL", "EVALSHA") else 1]


def _answers(commands: Iterable[PipelineCommand]) -> list[Any]:
    answers = [command.result for command in commands]
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _exec(node: ClusterNode, commands: Sequence[PipelineCommand], *, asking: bool) -> list[Any]:
    """The answer to EXEC. Raises the error of a command that could not be queued: then none was executed."""
    connection = node.acquire_connection()
    try:
        await node.disconnect_if_needed(connection)
        commands_sent = [
            *([("ASKING",)] if asking else []),
            ("MULTI",),
            *(command.args for command in commands),
            ("EXEC",),
        ]
        await connection.send_packed_command(connection.pack_commands(commands_sent))
        refusals = [await _refusal(connection) for _ in commands_sent[:-1]]
        try:
            answers: list[Any] = await connection.read_response()
        except ExecAbortError as aborted:
            raise next((refusal for refusal in refusals if refusal), aborted) from None
        return answers
    finally:
        try:
            await node.disconnect_if_needed(connection)
        finally:
            node.release(connection)


async def _refusal(connection: Connection) -> ResponseError | None:
    try:
        await connection.read_response()
    except ResponseError as refusal:
        return refusal
    return None


@contextmanager
def _as_redis_errors() -> Iterator[None]:
    """Convert the cluster's own exceptions, which are not RedisErrors."""
    try:
        yield
    except RedisClusterException as error:
        causes = list(_causes(error))
        if any("cluster support disabled" in str(cause) for cause in causes):
            raise ResponseError(_NOT_A_CLUSTER) from error
        plain = (cause for cause in causes if isinstance(cause, (RedisError, OSError)))
        raise next(plain, RedisConnectionError(str(error))) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

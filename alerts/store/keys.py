"""Redis keys of alerts. They share one hash tag, so that one script can access them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlertKeys:
    """Key names under one prefix.

    | key | type | holds |
    | --- | --- | --- |
    | `prefix:{0}:alerts:lead` | hash | who evaluates, its epoch, until when; version of the states; what is published |
    | `prefix:{0}:alerts:states` | hash | field fingerprint: the alert, JSON |
    | `prefix:{0}:alerts:changes` | stream | `fingerprint`, and `json`: a change as the topic `alerts` has it |
    | `prefix:{0}:alerts:memory` | string | what the evaluation of the rules remembers |
    | `prefix:{0}:alerts:acks` | hash | field fingerprint: who acknowledged it, JSON |
    | `prefix:{0}:alerts:silences` | hash | field id: the silence, JSON |
    | `prefix:{0}:alerts:outbox:receiver` | hash | field notice id: a notice that is on its way, JSON |
    | `prefix:{0}:alerts:due:receiver` | sorted set | ids of those notices by when they may be sent |
    | `prefix:{0}:alerts:turn:receiver` | hash | who sends to the receiver, until when; until when to wait; failures |
    | `prefix:{0}:alerts:sent:receiver` | sorted set | attempts to send by time, within the receiver's rate limit |
    """

    prefix: str

    @property
    def lead(self) -> str:
        return self._named("lead")

    @property
    def states(self) -> str:
        return self._named("states")

    @property
    def changes(self) -> str:
        return self._named("changes")

    @property
    def memory(self) -> str:
        return self._named("memory")

    @property
    def acks(self) -> str:
        return self._named("acks")

    @property
    def silences(self) -> str:
        return self._named("silences")

    def outbox(self, receiver: str) -> str:
        return self._named(f"outbox:{receiver}")

    def due(self, receiver: str) -> str:
        return self._named(f"due:{receiver}")

    def turn(self, receiver: str) -> str:
        return self._named(f"turn:{receiver}")

    def sent(self, receiver: str) -> str:
        return self._named(f"sent:{receiver}")

    def _named(self, name: str) -> str:
        return f"{self.prefix}:{{0}}:alerts:{name}"

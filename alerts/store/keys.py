"""Redis keys of alerts. They share one hash tag, so that one script can access them all."""

from __future__ import annotations


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

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}:{{0}}:alerts"
        self.lead = f"{self._prefix}:lead"
        self.states = f"{self._prefix}:states"
        self.changes = f"{self._prefix}:changes"
        self.memory = f"{self._prefix}:memory"
        self.acks = f"{self._prefix}:acks"
        self.silences = f"{self._prefix}:silences"

    def outbox(self, receiver: str) -> str:
        """Key of a receiver's queued notices."""
        return f"{self._prefix}:outbox:{receiver}"

    def due(self, receiver: str) -> str:
        """Key of the times at which they are due."""
        return f"{self._prefix}:due:{receiver}"

    def turn(self, receiver: str) -> str:
        """Key of the claim of a receiver."""
        return f"{self._prefix}:turn:{receiver}"

    def sent(self, receiver: str) -> str:
        """Key of the attempts to send."""
        return f"{self._prefix}:sent:{receiver}"

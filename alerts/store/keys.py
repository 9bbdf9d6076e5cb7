"""Redis keys of alerts. They share one hash tag, so that one script can access them all."""

from __future__ import annotations


class AlertKeys:
    """Key names under one prefix.

    | key | type | holds |
    | --- | --- | --- |
    | `prefix:{0}:alerts:lead` | hash | leader, epoch, end of the lease; version of the states; last published change |
    | `prefix:{0}:alerts:states` | hash | field fingerprint: the alert, JSON |
    | `prefix:{0}:alerts:changes` | stream | `fingerprint`, and `json`: the record of the topic `alerts` |
    | `prefix:{0}:alerts:memory` | string | evaluation memory, MessagePack |
    | `prefix:{0}:alerts:rules` | string | states of the rules, JSON |
    | `prefix:{0}:alerts:acks` | hash | field fingerprint: the acknowledgement, JSON |
    | `prefix:{0}:alerts:silences` | hash | field id: the silence, JSON |
    | `prefix:{0}:alerts:outbox:receiver` | hash | field notice id: a queued notice, JSON |
    | `prefix:{0}:alerts:due:receiver` | sorted set | ids of queued notices by due time |
    | `prefix:{0}:alerts:turn:receiver` | hash | claiming process, end of the claim; blocked until; failures in a row |
    | `prefix:{0}:alerts:sent:receiver` | sorted set | attempts by time, within the receiver's rate-limit window |
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}:{{0}}:alerts"
        self.lead = f"{self._prefix}:lead"
        self.states = f"{self._prefix}:states"
        self.changes = f"{self._prefix}:changes"
        self.memory = f"{self._prefix}:memory"
        self.rules = f"{self._prefix}:rules"
        self.acks = f"{self._prefix}:acks"
        self.silences = f"{self._prefix}:silences"

    def outbox(self, receiver: str) -> str:
        """Key of a receiver's queued notices."""
        return f"{self._prefix}:outbox:{receiver}"

    def due(self, receiver: str) -> str:
        """Key of the due times of a receiver's queued notices."""
        return f"{self._prefix}:due:{receiver}"

    def turn(self, receiver: str) -> str:
        """Key of the claim of a receiver."""
        return f"{self._prefix}:turn:{receiver}"

    def sent(self, receiver: str) -> str:
        """Key of the recent attempts to a receiver."""
        return f"{self._prefix}:sent:{receiver}"

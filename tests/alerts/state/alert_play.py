"""Play alerts evaluation by evaluation."""

from __future__ import annotations

from dataclasses import replace

from alerts.findings import Finding, FindingReason
from alerts.state.alert import AlertState
from alerts.state.notices import Notice, NoticeKind
from alerts.state.notification import NotificationContext
from alerts.state.notification_log import Ack
from alerts.state.policy import Routing, Timing
from alerts.state.silences import Silence
from alerts.state.update import AlertStateUpdate, update_alerts
from tests.alerts.builders import T0, evaluation, finding, to


class Play:
    """All alerts and their notices."""

    def __init__(self, timing: Timing | None = None, routing: Routing | None = None) -> None:
        self.timing = timing or Timing()
        self.routing = routing or to("on-call")
        self.silences: list[Silence] = []
        self.acks: dict[str, Ack] = {}
        self.running: set[str] = set()
        self.alerts: dict[str, AlertState] = {}
        self.now_ms = T0
        self.notices: list[Notice] = []
        """All notices, without the withdrawn ones."""
        self.last = AlertStateUpdate()

    def at(self, second: float, *found: Finding) -> AlertStateUpdate:
        """Evaluate that many seconds after the start."""
        self.now_ms = T0 + round(second * 1000)
        self.last = update_alerts(
            self.alerts,
            evaluation(*(replace(one, as_of_ms=self.now_ms) for one in found), at_ms=self.now_ms),
            timing=lambda rule: self.timing,
            acks=self.acks,
            context=NotificationContext(self.routing, self.silences, self.running),
            now_ms=self.now_ms,
        )
        self.alerts = self.last.apply_to(self.alerts)
        queued = {(notice.receiver, notice.id): notice for notice in self.notices}
        withdrawn = {(notice.receiver, notice.id): notice.due_ms for notice in self.last.withdrawn}
        assert all(queued[one].due_ms == due_ms > self.now_ms + 2000 for one, due_ms in withdrawn.items())
        self.notices = [queued[one] for one in queued if one not in withdrawn] + [*self.last.notices]
        return self.last

    @property
    def alert(self) -> AlertState:
        """The only alert."""
        (alert,) = self.alerts.values()
        return alert

    def acknowledge(self, by: str = "ada") -> None:
        alert = self.alert
        assert alert.fired_ms is not None
        self.acks[alert.fingerprint] = Ack(alert.fired_ms, alert.severity, by, self.now_ms)

    @property
    def sent(self) -> list[tuple[str, NoticeKind]]:
        """(receiver, kind) of each notice, in order."""
        return [(notice.receiver, notice.kind) for notice in self.notices]


BAD = finding()
FINE = finding(reason=FindingReason.WITHIN)
UNKNOWN = finding(reason=FindingReason.NO_DATA)
HELD = finding(reason=FindingReason.DATA_FAULT, inhibited_by=finding("lag", labels={"topic": "orders"}).series)

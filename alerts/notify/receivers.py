"""The file of receivers, routes and quiet hours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerts.notify.addresses import Network, parse_networks
from alerts.notify.alertmanager import Alertmanager
from alerts.notify.apprise import Apprise, AppriseConfig
from alerts.notify.dingtalk import DingTalk
from alerts.notify.email import Email, EmailConfig
from alerts.notify.feishu import Feishu
from alerts.notify.grouping import RateLimit
from alerts.notify.http import Http
from alerts.notify.pagerduty import PagerDuty
from alerts.notify.receiver import HttpNotifier, Notifier
from alerts.notify.slack import Slack
from alerts.notify.webhook import Webhook
from alerts.notify.wecom import WeCom
from alerts.state.policy import EscalationStep, Route, Routing
from alerts.state.silences import DAYS, MINUTES_A_DAY, Matcher, WeeklyInterval, validate_matcher
from consumers.errors import UsageError
from consumers.times import parse_duration
from consumers.yaml_models import YamlModelError, read_model

AnyReceiverConfig = Annotated[
    Alertmanager | AppriseConfig | DingTalk | EmailConfig | Feishu | PagerDuty | Slack | Webhook | WeCom,
    Field(discriminator="type"),
]


def parse_duration_ms(text: object) -> int:
    """Parse `30s`, `5m`, `2h`, `1d` or `0` to milliseconds; raise ValueError otherwise.

    >>> parse_duration_ms("5m"), parse_duration_ms("0")
    (300000, 0)
    """
    return 0 if text in (0, "0") else round(parse_duration(str(text)) * 1000)


def parse_minute_of_day(text: object) -> int:
    """Parse `23:30` to minutes after midnight; raise ValueError otherwise.

    >>> parse_minute_of_day("23:30"), parse_minute_of_day("24:00")
    (1410, 1440)
    """
    match = re.fullmatch(r"(\d\d?):(\d\d)", text) if isinstance(text, str) else None
    if match is None or int(match[2]) > 59 or (minute := int(match[1]) * 60 + int(match[2])) > MINUTES_A_DAY:
        raise ValueError("write a time such as 23:30")
    return minute


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone: write an IANA name such as Asia/Shanghai")
    return name


def _matcher(text: object) -> object:
    return validate_matcher(Matcher.parse(text)) if isinstance(text, str) else text


DurationMs = Annotated[int, BeforeValidator(parse_duration_ms)]
MinuteOfDay = Annotated[int, BeforeValidator(parse_minute_of_day)]
Timezone = Annotated[str, AfterValidator(_zone)]
ParsedMatcher = Annotated[Matcher, BeforeValidator(_matcher)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class EscalationStepConfig(_Part):
    """One step of an escalation."""

    after: DurationMs = 0
    """Delay after the start of the incident, if it is neither acknowledged nor resolved."""
    to: tuple[str, ...] = Field(min_length=1)
    """Names of receivers."""


class RouteConfig(_Part):
    """Routes alerts to receivers. The first matching route applies."""

    match: tuple[ParsedMatcher, ...] = ()
    """`severity=critical`, `rule=~stock-.*`, `channel!=app`; all must match. Empty: matches every alert."""
    escalation: tuple[EscalationStepConfig, ...] = ()
    """Empty: no notifications."""
    group_wait: DurationMs = 1000
    """How long a non-critical notification waits to be grouped."""
    repeat_interval: DurationMs | None = None
    """Interval of reminders while the alert fires unacknowledged."""

    @model_validator(mode="after")
    def _steps_in_order(self) -> Self:
        times = [step.after for step in self.escalation]
        if times != sorted(times):
            raise ValueError("the steps are not in order: sort them by `after`")
        return self


class WeeklyIntervalConfig(_Part):
    """A weekly interval."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = DAYS  # type: ignore[assignment]
    """The days on which it starts."""
    start: MinuteOfDay
    end: MinuteOfDay
    """At or before the start: on the next day."""
    timezone: Timezone = "UTC"

    def weekly(self) -> WeeklyInterval:
        """Convert for the alert states."""
        return WeeklyInterval(
            days=tuple(sorted(DAYS.index(day) for day in self.days)),
            start_minute=self.start % MINUTES_A_DAY,
            end_minute=self.end % MINUTES_A_DAY,
            timezone=self.timezone,
        )


class ReceiversFile(_Part):
    """Receivers, routes and quiet hours."""

    receivers: tuple[AnyReceiverConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()
    """The first matching route applies. Without routes, every alert notifies all receivers at once."""
    quiet_hours: tuple[WeeklyIntervalConfig, ...] = ()
    """Only critical alerts notify in these intervals."""
    allow_networks: Annotated[tuple[str, ...], AfterValidator(lambda texts: _networks(texts))] = ()
    """Non-public networks that receivers may be in, such as `10.1.0.0/16`."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [receiver.name for receiver in self.receivers]
        routed = {name for route in self.routes for step in route.escalation for name in step.to}
        if unknown := sorted(routed - set(names)):
            raise ValueError(f"a route names the receiver {unknown[0]!r}, which is not defined")
        return self

    @property
    def routing(self) -> Routing:
        """Convert for the alert states."""
        routes = tuple(
            Route(
                matchers=route.match,
                escalation=tuple(EscalationStep(after_ms=step.after, receivers=step.to) for step in route.escalation),
                group_wait_ms=route.group_wait,
                repeat_interval_ms=route.repeat_interval,
            )
            for route in self.routes
        )
        if not self.routes and self.receivers:
            everyone = tuple(receiver.name for receiver in self.receivers)
            routes = (Route(escalation=(EscalationStep(after_ms=0, receivers=everyone),)),)
        return Routing(routes=routes, quiet_hours=tuple(hours.weekly() for hours in self.quiet_hours))

    @property
    def networks(self) -> tuple[Network, ...]:
        """The allowed non-public networks."""
        return parse_networks(self.allow_networks)


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_networks(texts)
    return texts


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver with its notifier."""

    name: str
    kind: str
    notifier: Notifier
    rate_limit: RateLimit
    alertmanager: Alertmanager | None = None
    """If firing alerts are resent to it."""


def build_receivers(file: ReceiversFile, http: Http) -> dict[str, Receiver]:
    """Build the receivers of a file by name."""
    return {config.name: _build_receiver(config, file.networks, http) for config in file.receivers}


def _build_receiver(config: AnyReceiverConfig, allowed: Iterable[Network], http: Http) -> Receiver:
    notifier: Notifier
    match config:
        case EmailConfig():
            notifier = Email(config, tuple(allowed))
        case AppriseConfig():
            notifier = Apprise(config)
        case _:
            notifier = HttpNotifier(config, http)
    alertmanager = config if isinstance(config, Alertmanager) else None
    return Receiver(config.name, config.type, notifier, config.rate_limit, alertmanager)


def read_receivers(path: Path | None) -> ReceiversFile:
    """Read the file; without one, there are no receivers.

    Raises:
        UsageError: the file cannot be read or is invalid. The message contains no values, which may be secrets.
    """
    if path is None:
        return ReceiversFile()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    try:
        return read_model(text, ReceiversFile, items="receivers", show_values=False)
    except YamlModelError as error:
        raise UsageError("\n".join(f"{path}:{fault.line}: {fault.message}" for fault in error.errors)) from None

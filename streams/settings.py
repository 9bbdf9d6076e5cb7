"""Settings of the worker, the server and the command line."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator, model_validator

from consumers.settings import IngestSettings
from consumers.topics import EVENT_TOPICS, Topic
from streams.model.currencies import EXPONENTS, near_misses
from streams.panes.counters import DAY_S, HOUR_MS
from streams.shipping.expansion import ShippingLimits

WORKER_METRICS_PORT, ALERTS_METRICS_PORT = 9101, 9102
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
_CLUSTER_URL = re.compile(r"rediss?://[^/?]*(/0?)?(\?(?!(.*&)?db=).*)?$")


class Settings(IngestSettings):
    """Ingest settings, and those of panes, the read side and the HTTP server."""

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis or Valkey, version 7 or newer; rediss:// uses TLS and verifies certificate and host name.",
    )
    redis_ca_file: str = Field("", description="CA certificates to trust for Redis (PEM); empty: those of the system.")
    redis_cert_file: str = Field("", description="Client certificate (PEM), if Redis requires one.")
    redis_key_file: str = Field("", description="Its private key (PEM), not encrypted; empty: in `redis_cert_file`.")
    redis_user: str = Field("", description="Redis user; empty: that of the URL, or the default user.")
    redis_password: SecretStr = Field(SecretStr(""), description="Its password.")
    redis_password_file: str = Field("", description="File with only its password, instead of `redis_password`.")
    redis_read_user: str = Field(
        "", description="Redis user of read-only processes: `serve`, `kpis`, `doctor`; empty: `redis_user`."
    )
    redis_read_password: SecretStr = Field(SecretStr(""), description="Its password.")
    redis_read_password_file: str = Field(
        "", description=("File with only its password, instead of `redis_read_password`.")
    )
    redis_cluster: bool = Field(
        False, description="`redis_url` is a node of a Redis Cluster; the others are discovered through it."
    )
    redis_prefix: str = Field("salepulse", min_length=1, description="Prefix of all keys in Redis.")
    shards: int = Field(
        1,
        ge=1,
        le=256,
        description="Number of hash tags that keys are spread over; each belongs to one node of a Redis Cluster.",
    )
    keep_seconds_h: float = Field(
        2, gt=0.5, description=("Retention of panes of 1 s (distinct counts: 10 s), in hours.")
    )
    keep_minutes_d: float = Field(
        3, gt=1, description=("Retention of panes of 1 min (distinct counts: 10 min), in days.")
    )
    keep_hours_d: float = Field(400, gt=3, description="Retention of panes of 1 h, in days.")
    keep_promotions_d: float = Field(
        1096, gt=3, description="Retention of panes of 1 min during promotions, in days, for comparison."
    )
    keep_promotions_first_d: float = Field(
        31, gt=0, description="Longest part of a promotion, from its start, that is retained that long, in days."
    )
    retain: str = Field("", pattern="^(all)?$", description="all: keep every pane, for replays that query their past.")
    keep_stock_d: float = Field(
        45, ge=1, description="Retention of stock events, and maximum age of a stock count, in days."
    )
    stock_lead_h: float = Field(24, ge=0, description="Hours from ordering goods to their delivery.")
    stock_horizon_h: float = Field(72, gt=0, description="Hours that ordered goods should last after their delivery.")
    stock_limit_d: float = Field(30, gt=0, description="Stock for more days of sales than this is overstock.")
    stock_soon_min: float = Field(
        60, gt=0, description="A SKU that runs out within this many minutes is about to run out."
    )
    overdue_after_h: float = Field(
        48,
        gt=0,
        le=720,
        description="Hours after payment from which on an order that is not dispatched is overdue.",
    )
    unshipped_horizon_d: int = Field(
        180, ge=31, le=3650, description="Days after payment for which an order counts as unshipped, and is kept."
    )
    delivered_horizon_d: int = Field(
        60,
        ge=1,
        le=3650,
        description="Days that an order is kept after its delivery, or after its last event if it was never paid.",
    )
    idle_after_s: float = Field(
        10, gt=0, description="A partition without new events for this time is idle and does not delay the as-of."
    )
    as_of_topics: str = Field(
        ",".join(EVENT_TOPICS),
        description="Topics that the as-of waits for, separated by commas. Events of other topics correct answers "
        "when they arrive.",
    )
    stale_after_s: float = Field(12, gt=0, description="A partition without a heartbeat for this time is stale.")
    stuck_after_s: float = Field(
        30,
        ge=0,
        description="A worker that reads nothing for this time, while the broker answers others, exits to be "
        "restarted. 0: never.",
    )
    timezone: str = Field("UTC", description="IANA time zone of the shop: defines `day`.")
    currency: str = Field(
        "CNY", description="ISO 4217 code of all money; orders and ad clicks in other currencies are rejected."
    )
    currency_exponent: int | None = Field(
        None,
        ge=0,
        le=4,
        description="Decimal places of money (money / 10^exponent = major units) if producers deviate from ISO "
        "4217, such as 0 for whole yuan; default: those of the currency.",
    )
    http_host: str = Field("127.0.0.1", description="Address that `serve` binds to.")
    http_port: int = Field(8080, ge=0, le=65535, description="Port that `serve` binds to; 0 picks a free one.")
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics of `worker` and `alerts`.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description=f"Port of /metrics of `worker` and `alerts`; default: {WORKER_METRICS_PORT} and "
        f"{ALERTS_METRICS_PORT}; 0: no /metrics. `up` and `demo` pick free ports, unless it is 0.",
    )
    http_connections: int = Field(
        2000,
        ge=64,
        le=50_000,
        description="Maximum number of connections to `serve`, lower if the limit of open files is. Beyond it, idle "
        "ones are closed.",
    )
    http_work_s: float = Field(
        5,
        gt=0,
        le=10,
        description="Seconds of computing per 10 s that one token, or all requests without one, may use; beyond it "
        "429. Precomputed answers are free.",
    )
    http_allowed_hosts: str = Field(
        "",
        description="Host names that `serve` accepts besides loopback, `http_host` and `public_url`, separated by "
        "commas; `*`: any. Empty: no others, but any if there are tokens.",
    )
    http_cert_file: str = Field(
        "", description="Certificate chain (PEM) of `serve`, and of /metrics of other roles; empty: no TLS."
    )
    http_key_file: str = Field("", description="Its private key (PEM), not encrypted; empty: in `http_cert_file`.")
    tokens_file: str = Field(
        "",
        description=(
            "File of API tokens, created by `salepulse tokens create`; required if `serve`, or /metrics of another "
            "role, is reachable from other machines."
        ),
    )
    partitions: int = Field(4, ge=1, description="Number of partitions of topics that `topics create` creates.")
    series_budget: int = Field(20_000, ge=100, description="Maximum number of KPI series on /metrics.")
    poll_ms: int = Field(100, ge=10, description="How often `serve` polls Redis for new deltas, in ms.")
    public_url: str = Field(
        "", pattern="^(https?://.+)?$", description="External URL of `serve`, for links in notifications."
    )
    alerts_rules: str = Field("", description="File of alert rules (YAML); empty: the default rules.")
    alerts_receivers: str = Field(
        "", description="File of receivers, routes and quiet hours (YAML); empty: no notifications are sent."
    )
    alerts_runbooks: str = Field("", pattern="^(https?://.+)?$", description="Base URL of the runbooks of rules.")
    alerts_interval_s: float = Field(1, ge=0.1, le=60, description="Interval of rule evaluations in seconds.")
    alerts_heartbeat_url: SecretStr = Field(
        SecretStr(""),
        description="URL of an external watchdog that is called while all of salepulse works, and pages when calls "
        "stop; empty: none.",
    )
    alerts_heartbeat_s: float = Field(30, ge=1, le=600, description="Interval of these calls in seconds.")
    alerts_lease_s: float = Field(
        5,
        ge=1,
        le=60,
        description="Lifetime of the leader's lease in seconds.",
    )

    @field_validator("as_of_topics", mode="before")
    @classmethod
    def _are_event_topics(cls, given: object) -> object:
        names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not names or any(name not in list(EVENT_TOPICS) for name in names):
            raise ValueError(f"as_of_topics must name one or more of {', '.join(EVENT_TOPICS)}, separated by commas")
        return ",".join(topic for topic in EVENT_TOPICS if topic in names)

    @property
    def topics_in_as_of(self) -> tuple[Topic, ...]:
        """The topics that the as-of waits for."""
        return tuple(map(Topic, self.as_of_topics.split(",")))

    @property
    def not_in_as_of(self) -> tuple[Topic, ...]:
        """The event topics that it does not wait for."""
        return tuple(topic for topic in EVENT_TOPICS if topic not in self.topics_in_as_of)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str) -> str:
        if timezone not in available_timezones():
            raise ValueError(f"unknown time zone {timezone!r}: use an IANA name such as Asia/Shanghai")
        return timezone

    @field_validator("currency")
    @classmethod
    def _is_a_currency(cls, currency: str) -> str:
        if currency not in EXPONENTS:
            meant = " or ".join(near_misses(currency))
            hint = f"did you mean {meant}?" if meant else "use an ISO 4217 code such as CNY, USD or EUR"
            raise ValueError(f"unknown currency {currency!r}: {hint}")
        return currency

    @field_validator("currency_exponent", "metrics_port", mode="before")
    @classmethod
    def _may_be_empty(cls, places: object) -> object:
        """Treat an empty variable as unset."""
        return None if places == "" else places

    @property
    def money_exponent(self) -> int:
        """Decimal places of money: the setting, else those of the currency."""
        return EXPONENTS[self.currency] if self.currency_exponent is None else self.currency_exponent

    @field_validator("redis_url")
    @classmethod
    def _is_of_redis(cls, redis_url: SecretStr) -> SecretStr:
        if not redis_url.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"redis_url must begin with {', '.join(_REDIS_SCHEMES)}")
        return redis_url

    @property
    def redis_writer_known(self) -> bool:
        """Whether a read-only process also has the writer's login."""
        return bool(self.redis_user or self.redis_password.get_secret_value() or self.redis_password_file)

    @property
    def redis_tls(self) -> bool:
        """Whether Redis is reached over TLS."""
        return self.redis_url.get_secret_value().startswith("rediss://")

    @model_validator(mode="after")
    def _redis_fits(self) -> Self:
        """Reject connection settings that contradict each other or have no effect."""
        for name in ("redis_password", "redis_read_password"):
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file"):
                raise ValueError(f"{name} and {name}_file are both set: remove one")
        reading = bool(self.redis_read_password.get_secret_value() or self.redis_read_password_file)
        if reading != bool(self.redis_read_user):
            raise ValueError(
                "redis_read_user needs redis_read_password or its file, and vice versa: set both, or neither"
            )
        named = self.redis_user or self.redis_password.get_secret_value() or self.redis_password_file or reading
        if named and "@" in urlsplit(self.redis_url.get_secret_value()).netloc:
            raise ValueError("redis_url and other settings both hold a user or password: remove them from the URL")
        if not self.redis_tls and (self.redis_ca_file or self.redis_cert_file or self.redis_key_file):
            raise ValueError("certificates need TLS: use rediss:// in redis_url")
        if self.redis_cluster and not _CLUSTER_URL.match(self.redis_url.get_secret_value()):
            raise ValueError("a Redis Cluster needs redis:// or rediss://, and has only database 0: change redis_url")
        if self.redis_key_file and not self.redis_cert_file:
            raise ValueError("redis_key_file is set without redis_cert_file: set both")
        if self.http_key_file and not self.http_cert_file:
            raise ValueError("http_key_file is set without http_cert_file: set both")
        return self


def shipping_limits(settings: Settings) -> ShippingLimits:
    """The times that define the shipping KPIs."""
    return ShippingLimits(round(settings.overdue_after_h * HOUR_MS), settings.unshipped_horizon_d * DAY_S)

"""All settings of salepulse's worker, server and command line."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator, model_validator

from consumers.settings import IngestSettings
from consumers.topics import EVENT_TOPICS, Topic
from streams.model.currencies import EXPONENTS, near_misses
from streams.shipping.expansion import DAY_S, HOUR_MS, ShippingLimits

_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
_CLUSTER_URL = re.compile(r"rediss?://[^/?]*(/0?)?(\?(?!(.*&)?db=).*)?$")


class Settings(IngestSettings):
    """Ingest settings, and what the panes, the read side and the HTTP server need."""

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis or Valkey, version 7 or newer; rediss:// is TLS: its certificate and name are checked.",
    )
    redis_ca_file: str = Field(
        "", description="PEM of the authorities to trust for Redis; empty: those that this machine trusts."
    )
    redis_cert_file: str = Field("", description="PEM of our own certificate, where Redis asks for one.")
    redis_key_file: str = Field("", description="PEM of its key, not encrypted; empty: it is in `redis_cert_file`.")
    redis_user: str = Field("", description="User of Redis; empty: the one of the URL, or nobody in particular.")
    redis_password: SecretStr = Field(SecretStr(""), description="Its password.")
    redis_password_file: str = Field("", description="File that holds nothing but its password, instead of it.")
    redis_read_user: str = Field(
        "", description="User of Redis for whoever only reads: `serve`, `kpis`, `doctor`; empty: `redis_user`."
    )
    redis_read_password: SecretStr = Field(SecretStr(""), description="Its password.")
    redis_read_password_file: str = Field("", description="File that holds nothing but its password, instead of it.")
    redis_cluster: bool = Field(
        False, description="`redis_url` leads to a node of a Redis Cluster, any one: the others are asked of it."
    )
    redis_prefix: str = Field("salepulse", min_length=1, description="First part of every key in Redis.")
    shards: int = Field(
        1,
        ge=1,
        le=256,
        description="Hash tags that the keys are spread over: each lies on one node of a Redis Cluster.",
    )
    keep_seconds_h: float = Field(2, gt=0.5, description="Hours that panes of 1 s (distinct counts: 10 s) are kept.")
    keep_minutes_d: float = Field(3, gt=1, description="Days that panes of 1 min (distinct counts: 10 min) are kept.")
    keep_hours_d: float = Field(400, gt=3, description="Days that panes of 1 h are kept.")
    keep_promotions_d: float = Field(
        1096, gt=3, description="Days that panes of 1 min within the time of a promotion are kept, for comparison."
    )
    keep_promotions_first_d: float = Field(
        31, gt=0, description="Of one promotion at most so many days, from its start, are kept that long."
    )
    retain: str = Field(
        "", pattern="^(all)?$", description="all: keep every pane, for replays that are asked about their past."
    )
    keep_stock_d: float = Field(
        45, ge=1, description="Days that a count of stock counts, and that what moved stock is kept."
    )
    stock_lead_h: float = Field(24, ge=0, description="Hours from ordering goods to having them.")
    stock_horizon_h: float = Field(72, gt=0, description="Hours that what is ordered should last, after it arrived.")
    stock_limit_d: float = Field(30, gt=0, description="Stock for more days than this is too much.")
    stock_soon_min: float = Field(
        60, gt=0, description="A SKU that runs out within so many minutes is near the end of its stock."
    )
    overdue_after_h: float = Field(
        48,
        gt=0,
        le=720,
        description="Hours after its payment from which on an order that is not dispatched is overdue.",
    )
    unshipped_horizon_d: int = Field(
        180, ge=31, le=3650, description="Days from its payment that an order counts as unshipped, and is remembered."
    )
    delivered_horizon_d: int = Field(
        60,
        ge=1,
        le=3650,
        description="Days that an order is remembered after its delivery, or its last event if it was never paid.",
    )
    idle_after_s: float = Field(
        10, gt=0, description="A partition without a new event for so long holds no as-of back."
    )
    as_of_topics: str = Field(
        ",".join(EVENT_TOPICS),
        description="Topics whose events the as-of waits for, separated by commas. One that is left out is counted and "
        "corrects answers when its events come.",
    )
    stale_after_s: float = Field(
        12, gt=0, description="Without word from a partition's worker for so long, it is stale."
    )
    stuck_after_s: float = Field(
        30,
        ge=0,
        description="A worker that reads nothing for so long, though the broker answers others, ends, to be started "
        "anew. 0: never.",
    )
    timezone: str = Field("UTC", description="IANA time zone of the shop: where `day` begins.")
    currency: str = Field(
        "CNY", description="ISO 4217 code of all money; orders and ad clicks in another currency are refused."
    )
    currency_exponent: int | None = Field(
        None,
        ge=0,
        le=4,
        description="Decimal places of money (money / 10^exponent = major units) where producers do not keep to ISO "
        "4217, such as 0 where they send whole yuan; by default those of the currency.",
    )
    http_host: str = Field("127.0.0.1", description="Address that `serve` binds to.")
    http_port: int = Field(8080, ge=0, le=65535, description="Port that `serve` binds to; 0 picks a free one.")
    http_connections: int = Field(
        2000,
        ge=64,
        le=50_000,
        description="Most connections to `serve`; fewer where the limit of open files is lower. Beyond it those that "
        "wait for their client are closed.",
    )
    http_work_s: float = Field(
        5,
        gt=0,
        le=10,
        description="Seconds of computing in 10 s that one token, or all who need none, may ask for; beyond it 429. "
        "Answers that were made ahead are free.",
    )
    http_allowed_hosts: str = Field(
        "",
        description="Host names that `serve` answers to, beside those of loopback, `http_host` and `public_url`, "
        "separated by commas; `*`: any. Empty: no others, but any where there are tokens.",
    )
    http_cert_file: str = Field(
        "", description="PEM of the certificate that `serve` shows, with its chain; empty: without TLS."
    )
    http_key_file: str = Field("", description="PEM of its key, not encrypted; empty: it is in `http_cert_file`.")
    tokens_file: str = Field(
        "",
        description="File of API tokens, made by `salepulse tokens create`; needed where others can reach `serve`.",
    )
    partitions: int = Field(4, ge=1, description="Partitions of topics that `topics create` makes.")
    series_budget: int = Field(20_000, ge=100, description="Most KPI series on /metrics.")
    poll_ms: int = Field(100, ge=10, description="How often `serve` looks for new deltas in Redis.")
    public_url: str = Field(
        "", pattern="^(https?://.+)?$", description="Where people reach `serve`, for links in messages of alerts."
    )
    alerts_group: str = Field("salepulse-alerts", min_length=1, description="Kafka consumer group of `alerts`.")
    alerts_rules: str = Field("", description="File of alert rules (YAML); empty: the default rules.")
    alerts_receivers: str = Field(
        "", description="File of receivers, routes and quiet hours (YAML); empty: nobody is told of alerts."
    )
    alerts_runbooks: str = Field(
        "", pattern="^(https?://.+)?$", description="Address that the runbooks of rules are relative to."
    )
    alerts_interval_s: float = Field(1, ge=0.1, le=60, description="How often the rules are evaluated.")
    alerts_heartbeat_url: SecretStr = Field(
        SecretStr(""),
        description="Address of an outside watcher that is told again and again that all of salepulse works, and calls "
        "somebody when that fails to come; empty: none.",
    )
    alerts_heartbeat_s: float = Field(30, ge=1, le=600, description="How often the outside watcher is told.")
    alerts_lease_s: float = Field(5, ge=1, le=60, description="How soon another process may evaluate in place of one.")

    @field_validator("as_of_topics", mode="before")
    @classmethod
    def _are_event_topics(cls, given: object) -> object:
        names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not names or any(name not in list(EVENT_TOPICS) for name in names):
            raise ValueError(f"as_of_topics names one or more of {', '.join(EVENT_TOPICS)}, separated by commas")
        return ",".join(topic for topic in EVENT_TOPICS if topic in names)

    @property
    def topics_in_as_of(self) -> tuple[Topic, ...]:
        """The topics whose events the as-of waits for."""
        return tuple(map(Topic, self.as_of_topics.split(",")))

    @property
    def not_in_as_of(self) -> tuple[Topic, ...]:
        """The event topics that it does not wait for."""
        return tuple(topic for topic in EVENT_TOPICS if topic not in self.topics_in_as_of)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str) -> str:
        if timezone not in available_timezones():
            raise ValueError(f"{timezone!r} is no IANA time zone; write one such as Asia/Shanghai")
        return timezone

    @field_validator("currency")
    @classmethod
    def _is_a_currency(cls, currency: str) -> str:
        if currency not in EXPONENTS:
            meant = " or ".join(near_misses(currency))
            hint = f"did you mean {meant}?" if meant else "write the three letters of ISO 4217, such as CNY, USD or EUR"
            raise ValueError(f"{currency!r} is no currency of ISO 4217: {hint}")
        return currency

    @field_validator("currency_exponent", mode="before")
    @classmethod
    def _may_be_empty(cls, places: object) -> object:
        """An empty variable is as good as none."""
        return None if places == "" else places

    @property
    def money_exponent(self) -> int:
        """Decimal places of money: the setting's, else those that ISO 4217 gives the currency."""
        return EXPONENTS[self.currency] if self.currency_exponent is None else self.currency_exponent

    @field_validator("redis_url")
    @classmethod
    def _is_of_redis(cls, redis_url: SecretStr) -> SecretStr:
        if not redis_url.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"an address of Redis begins with {', '.join(_REDIS_SCHEMES)}")
        return redis_url

    @property
    def redis_writer_known(self) -> bool:
        """Whether these settings hold the login of whoever writes, though there is another for whoever only reads."""
        return bool(self.redis_user or self.redis_password.get_secret_value() or self.redis_password_file)

    @property
    def redis_tls(self) -> bool:
        """Whether Redis is reached over TLS."""
        return self.redis_url.get_secret_value().startswith("rediss://")

    @model_validator(mode="after")
    def _redis_fits(self) -> Self:
        """Nothing of what protects the connection may be given in vain, or twice."""
        for name in ("redis_password", "redis_read_password"):
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file"):
                raise ValueError(f"{name} and {name}_file are both given: leave one of them out")
        reading = bool(self.redis_read_password.get_secret_value() or self.redis_read_password_file)
        if reading != bool(self.redis_read_user):
            raise ValueError("redis_read_user goes with redis_read_password or its file: give both, or neither")
        named = self.redis_user or self.redis_password.get_secret_value() or self.redis_password_file or reading
        if named and "@" in urlsplit(self.redis_url.get_secret_value()).netloc:
            raise ValueError("redis_url has a user or password, and so have other settings: leave them out of the URL")
        if not self.redis_tls and (self.redis_ca_file or self.redis_cert_file or self.redis_key_file):
            raise ValueError("certificates are given for Redis without TLS: write rediss:// in redis_url")
        if self.redis_cluster and not _CLUSTER_URL.match(self.redis_url.get_secret_value()):
            raise ValueError("a Redis Cluster is reached by redis:// or rediss://, and has no database but 0")
        if self.redis_key_file and not self.redis_cert_file:
            raise ValueError("redis_key_file is given without redis_cert_file: name the certificate, too")
        if self.http_key_file and not self.http_cert_file:
            raise ValueError("http_key_file is given without http_cert_file: name the certificate, too")
        return self


def shipping_limits(settings: Settings) -> ShippingLimits:
    """The times that the shipping KPIs are defined by."""
    return ShippingLimits(round(settings.overdue_after_h * HOUR_MS), settings.unshipped_horizon_d * DAY_S)

"""Settings of the ingest side. Loaded once, at the edge: flags, then `SALEPULSE_*`, then `salepulse.toml`."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from consumers.errors import UsageError, check_bootstrap
from consumers.kafka.connection import KafkaClientConfig, SaslMechanism
from consumers.kafka.topic_names import TopicNames
from consumers.setting_sources import SecretsFileSource
from consumers.tls import TlsFiles
from consumers.topics import Topic


class Clock(StrEnum):
    """What "now" means."""

    WALL = "wall"
    """Redis's clock, by which all processes go: production."""
    EVENT = "event"
    """The newest event time: replays and tests. Nothing is late merely for being old."""


class IngestSettings(BaseSettings):
    """What reading from Kafka needs to know."""

    model_config = SettingsConfigDict(env_prefix="SALEPULSE_", toml_file="salepulse.toml", extra="forbid", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, separated by commas.")
    kafka_tls: bool = Field(False, description="Connect to Kafka over TLS; its certificate and name are checked.")
    kafka_ca_file: str = Field(
        "", description="PEM of the authorities to trust for Kafka; empty: those that this machine trusts."
    )
    kafka_cert_file: str = Field("", description="PEM of our own certificate, where Kafka asks for one.")
    kafka_key_file: str = Field("", description="PEM of its key, not encrypted; empty: it is in `kafka_cert_file`.")
    kafka_sasl: SaslMechanism = Field(
        SaslMechanism.NONE,
        description="How the user of Kafka proves who it is; PLAIN sends the password: use it over TLS only.",
    )
    kafka_user: str = Field("", description="User of Kafka.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Its password.")
    kafka_password_file: str = Field("", description="File that holds nothing but its password, instead of it.")
    topic_prefix: str = Field("", description="First part of the name of every topic on the broker.")
    topic_clicks: str = Field("clicks", description="Name of topic clicks on the broker, after `topic_prefix`.")
    topic_orders: str = Field("orders", description="The same of orders.")
    topic_logistics: str = Field("logistics", description="The same of logistics.")
    topic_promotions: str = Field("promotions", description="The same of promotions.")
    topic_dead_letters: str = Field("dead-letters", description="The same of dead-letters.")
    topic_alerts: str = Field("alerts", description="The same of alerts.")
    accept: str = Field(
        "",
        description="Topics that are used although most of what they hold breaks the contract or is not salepulse's; "
        "logical names, separated by commas.",
    )
    group: str = Field("salepulse", description="Kafka consumer group of the workers.")
    clock: Clock = Field(
        Clock.WALL, description="wall: Redis's clock, for all processes; event: the newest event time (replays)."
    )
    future_limit_s: float = Field(300, ge=0, description="Seconds ahead of the clock beyond which an event is refused.")
    session_timeout_s: float = Field(6, gt=0, description="Kafka session time-out: how soon a dead worker is noticed.")
    fetch_wait_ms: int = Field(50, ge=1, description="How long the broker may hold a fetch while it has nothing new.")
    fetch_bytes: int = Field(2**20, ge=2**16, description="Most bytes fetched from one partition at a time.")
    batch_records: int = Field(50_000, ge=1, description="Most records in one batch, over all partitions.")
    batch_bytes: int = Field(
        2**25, ge=2**16, description="Bytes of records, as unpacked, after which a batch is complete."
    )
    batch_wait_ms: int = Field(200, ge=0, description="How long records may be gathered into a larger batch.")
    dedup_clicks_s: int = Field(600, ge=0, description="Seconds of event time that a click's event_id is remembered.")
    dedup_orders_s: int = Field(86_400, ge=0, description="The same for orders and logistics events.")
    dedup_memory_mb: int = Field(128, ge=1, description="Memory set aside for event ids in one worker, in MiB.")

    def dedup_horizon_ms(self, topic: Topic) -> int:
        """Event time for which a topic's event ids are remembered."""
        return 1000 * (self.dedup_clicks_s if topic is Topic.CLICKS else self.dedup_orders_s)

    @property
    def kafka(self) -> KafkaClientConfig:
        """The broker, and how to be let in."""
        return KafkaClientConfig(
            self.bootstrap,
            TlsFiles(self.kafka_ca_file, self.kafka_cert_file, self.kafka_key_file) if self.kafka_tls else None,
            self.kafka_sasl,
            self.kafka_user,
            self.kafka_password,
            self.kafka_password_file,
            self.topic_names,
        )

    @property
    def topic_names(self) -> TopicNames:
        """What the topics are called on the broker."""
        own = {topic: getattr(self, f"topic_{topic.name.lower()}") for topic in Topic}
        return TopicNames(self.topic_prefix, tuple((topic, name) for topic, name in own.items() if name != topic.value))

    @model_validator(mode="after")
    def _kafka_fits(self) -> Self:
        """Nothing of what protects the connection may be given in vain."""
        password = self.kafka_password.get_secret_value()
        if password and self.kafka_password_file:
            raise ValueError("kafka_password and kafka_password_file are both given: leave one of them out")
        if self.kafka_sasl and not (self.kafka_user and (password or self.kafka_password_file)):
            raise ValueError(f"kafka_sasl is {self.kafka_sasl}: give kafka_user, and kafka_password or its file, too")
        if not self.kafka_sasl and (self.kafka_user or password or self.kafka_password_file):
            raise ValueError("a user or password of Kafka is given without kafka_sasl: name PLAIN or SCRAM-SHA-512")
        if not self.kafka_tls and (self.kafka_ca_file or self.kafka_cert_file or self.kafka_key_file):
            raise ValueError("certificates are given for Kafka without TLS: set kafka_tls = true")
        if self.kafka_key_file and not self.kafka_cert_file:
            raise ValueError("kafka_key_file is given without kafka_cert_file: name the certificate, too")
        return self

    @property
    def accepted_topics(self) -> frozenset[Topic]:
        """The topics of `accept`."""
        return frozenset(Topic(name.strip()) for name in self.accept.split(",") if name.strip())

    @field_validator("bootstrap")
    @classmethod
    def _are_addresses(cls, bootstrap: str) -> str:
        try:
            check_bootstrap(bootstrap)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return bootstrap

    @field_validator("accept")
    @classmethod
    def _are_topics(cls, accept: str) -> str:
        for name in filter(None, (part.strip() for part in accept.split(","))):
            if name not in list(Topic):
                raise ValueError(f"{name!r} is no topic of salepulse: name some of {', '.join(Topic)}")
        return accept

    @model_validator(mode="after")
    def _topics_fit(self) -> Self:
        """Every topic has a name of its own that Kafka takes."""
        if fault := next(self.topic_names.faults(), None):
            raise ValueError(f"{fault}; see topic_prefix and topic_clicks, topic_orders, ...")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over the files."""
        return init_settings, env_settings, SecretsFileSource(settings_cls), TomlConfigSettingsSource(settings_cls)

"""Settings of the ingest side and their sources: flags, then `SALEPULSE_*`, then files. Loaded once at start."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from consumers.errors import UsageError, check_bootstrap
from consumers.kafka.connection import KafkaClientConfig, SaslMechanism
from consumers.secret_files import read_secrets_file
from consumers.tls import TlsFiles
from consumers.topics import InputTopic, Topic, TopicNames, input_topic


class SettingSource(StrEnum):
    """The sources of settings, in order of precedence."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    SECRETS = "secrets file"
    """See `consumers.secret_files.SECRETS_VARIABLE`."""
    FILE = "salepulse.toml"
    DEFAULT = "default"


class SecretsFileSource(PydanticBaseSettingsSource):
    """Secrets that the parent process passes on in a file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: `__call__` returns all values."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Values by setting. Raises UsageError if the file is invalid."""
        secrets = read_secrets_file()
        return {name: secrets[name] for name in self.settings_cls.model_fields if name in secrets}


class SettingSources:
    """Which source provides each setting of a class; `flags`: names of those given on the command line."""

    def __init__(self, kind: type[BaseSettings], flags: Iterable[str]) -> None:
        self._given: dict[SettingSource, Collection[str]] = {
            SettingSource.FLAG: set(flags),
            SettingSource.ENVIRONMENT: set(EnvSettingsSource(kind)()),
            SettingSource.SECRETS: set(SecretsFileSource(kind)()),
            SettingSource.FILE: set(TomlConfigSettingsSource(kind)()),
        }

    def of(self, name: str) -> SettingSource:
        """The source whose value of a setting applies."""
        return next((source for source, names in self._given.items() if name in names), SettingSource.DEFAULT)


def variable(kind: type[BaseSettings], name: str) -> str:
    """The environment variable of a setting."""
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


class Clock(StrEnum):
    """The clock that decides what "now" is."""

    WALL = "wall"
    """Redis's clock, shared by all processes: for production."""
    EVENT = "event"
    """The newest event time, for replays and tests: old recordings are not late."""


class IngestSettings(BaseSettings):
    """Settings for reading from Kafka."""

    model_config = SettingsConfigDict(env_prefix="SALEPULSE_", toml_file="salepulse.toml", extra="forbid", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, separated by commas.")
    kafka_tls: bool = Field(
        False, description="Connect to Kafka over TLS; the certificate and its host name are verified."
    )
    kafka_ca_file: str = Field(
        "", description="PEM file of the certificate authorities to trust for Kafka; default: those of this machine."
    )
    kafka_cert_file: str = Field("", description="PEM file of the client certificate, where Kafka requires one.")
    kafka_key_file: str = Field(
        "", description="PEM file of the client certificate's key, not encrypted; default: `kafka_cert_file`."
    )
    kafka_sasl: SaslMechanism = Field(
        SaslMechanism.NONE,
        description="SASL mechanism of the Kafka user; PLAIN sends the password, so use it over TLS only.",
    )
    kafka_user: str = Field("", description="Kafka user.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password of the Kafka user.")
    kafka_password_file: str = Field(
        "", description="File that contains only the password of the Kafka user; instead of `kafka_password`."
    )
    topic_prefix: str = Field("", description="Prefix of the name of every topic on the broker.")
    topic_clicks: str = Field("clicks", description="Name of topic clicks on the broker, after `topic_prefix`.")
    topic_orders: str = Field("orders", description="Name of topic orders on the broker, after `topic_prefix`.")
    topic_logistics: str = Field(
        "logistics", description="Name of topic logistics on the broker, after `topic_prefix`."
    )
    topic_promotions: str = Field(
        "promotions", description="Name of topic promotions on the broker, after `topic_prefix`."
    )
    topic_dead_letters: str = Field(
        "dead-letters", description="Name of topic dead-letters on the broker, after `topic_prefix`."
    )
    topic_alerts: str = Field("alerts", description="Name of topic alerts on the broker, after `topic_prefix`.")
    sources: str = Field(
        "", description="File of sources (YAML): topics to read in the shop's own format; empty: none."
    )
    accept: str = Field(
        "",
        description="Topics to use even if most of their messages break the contract or are not salepulse's; logical "
        "names, separated by commas.",
    )
    group: str = Field("salepulse", description="Kafka consumer group of the workers.")
    clock: Clock = Field(
        Clock.WALL, description="wall: Redis's clock, for all processes; event: the newest event time (replays)."
    )
    future_limit_s: float = Field(
        300, ge=0, description="Seconds ahead of the clock beyond which an event is rejected."
    )
    session_timeout_s: float = Field(6, gt=0, description="Kafka session timeout: how soon a dead worker is noticed.")
    fetch_wait_ms: int = Field(50, ge=1, description="Longest time the broker may hold a fetch without new records.")
    fetch_bytes: int = Field(2**20, ge=2**16, description="Most bytes fetched from one partition at a time.")
    batch_records: int = Field(50_000, ge=1, description="Most records in one poll batch, over all partitions.")
    batch_bytes: int = Field(
        2**25, ge=2**16, description="Uncompressed bytes of records after which a poll batch is complete."
    )
    batch_wait_ms: int = Field(200, ge=0, description="Longest time to collect records into a larger poll batch.")
    dedup_clicks_s: int = Field(
        600, ge=0, description="Seconds of event time for which event_ids of clicks are remembered."
    )
    dedup_orders_s: int = Field(
        86_400,
        ge=0,
        description="Seconds of event time for which event_ids of orders and logistics events are remembered.",
    )
    dedup_memory_mb: int = Field(128, ge=1, description="Memory for event ids in one worker, in MiB.")

    def dedup_horizon_ms(self, *topics: Topic) -> int:
        """Event time for which the event ids of a topic are remembered; of several topics the longest."""
        return 1000 * max(self.dedup_clicks_s if topic is Topic.CLICKS else self.dedup_orders_s for topic in topics)

    @property
    def kafka(self) -> KafkaClientConfig:
        """The broker and its credentials."""
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
        """The topics' names on the broker."""
        own = {topic: getattr(self, f"topic_{topic.name.lower()}") for topic in Topic}
        return TopicNames(self.topic_prefix, tuple((topic, name) for topic, name in own.items() if name != topic.value))

    @model_validator(mode="after")
    def _kafka_fits(self) -> Self:
        """Credentials and certificates are complete and not given without the option that uses them."""
        password = self.kafka_password.get_secret_value()
        if password and self.kafka_password_file:
            raise ValueError("kafka_password and kafka_password_file are both set: remove one of them")
        if self.kafka_sasl and not (self.kafka_user and (password or self.kafka_password_file)):
            raise ValueError(
                f"kafka_sasl is {self.kafka_sasl}: also set kafka_user, and kafka_password or kafka_password_file"
            )
        if not self.kafka_sasl and (self.kafka_user or password or self.kafka_password_file):
            raise ValueError("a Kafka user or password is set without kafka_sasl: set it to PLAIN or SCRAM-SHA-512")
        if not self.kafka_tls and (self.kafka_ca_file or self.kafka_cert_file or self.kafka_key_file):
            raise ValueError("Kafka certificates are set without TLS: set kafka_tls = true")
        if self.kafka_key_file and not self.kafka_cert_file:
            raise ValueError("kafka_key_file is set without kafka_cert_file: set both")
        return self

    @property
    def accepted_topics(self) -> frozenset[InputTopic]:
        """The topics of `accept`."""
        return frozenset(input_topic(name.strip()) for name in self.accept.split(",") if name.strip())

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
    def _are_topics(cls, accept: str, info: ValidationInfo) -> str:
        for name in filter(None, (part.strip() for part in accept.split(","))):
            if name not in list(Topic) and not info.data.get("sources"):
                raise ValueError(f"{name!r} is not a topic of salepulse: name some of {', '.join(Topic)}")
        return accept

    @model_validator(mode="after")
    def _topics_fit(self) -> Self:
        """Every topic has its own name on the broker, valid in Kafka."""
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
        """Flags override the environment, and the environment overrides files."""
        return init_settings, env_settings, SecretsFileSource(settings_cls), TomlConfigSettingsSource(settings_cls)

"""Settings of the ingest side. Loaded once, at the edge: flags, then `SALEPULSE_*`, then `salepulse.toml`."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Clock(StrEnum):
    """What "now" means."""

    WALL = "wall"
    """The machine's clock: production."""
    EVENT = "event"
    """The newest event time: replays and tests. Nothing is late merely for being old."""


class IngestSettings(BaseSettings):
    """What reading from Kafka needs to know."""

    model_config = SettingsConfigDict(env_prefix="SALEPULSE_", toml_file="salepulse.toml", extra="forbid", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, separated by commas.")
    group: str = Field("salepulse", description="Kafka consumer group of the workers.")
    clock: Clock = Field(Clock.WALL, description="wall: the machine's clock; event: the newest event time (replays).")
    future_limit_s: float = Field(300, ge=0, description="Seconds ahead of the clock beyond which an event is refused.")
    session_timeout_s: float = Field(6, gt=0, description="Kafka session time-out: how soon a dead worker is noticed.")
    fetch_wait_ms: int = Field(50, ge=1, description="How long the broker may hold a fetch while it has nothing new.")
    fetch_bytes: int = Field(2**20, ge=2**16, description="Most bytes fetched from one partition at a time.")
    batch_records: int = Field(20_000, ge=1, description="Most records fetched in one go, over all partitions.")
    batch_bytes: int = Field(2**25, ge=2**16, description="Bytes of values after which a go is over.")
    batch_wait_ms: int = Field(200, ge=0, description="How long records may be gathered into a larger batch.")
    dedup_clicks_s: int = Field(600, ge=0, description="Seconds of event time that a click's event_id is remembered.")
    dedup_orders_s: int = Field(3600, ge=0, description="The same for orders and logistics events.")
    dedup_memory_mb: int = Field(160, ge=1, description="Memory set aside for event ids in one worker, in MiB.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

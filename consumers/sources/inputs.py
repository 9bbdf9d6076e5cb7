"""The topics that a worker reads: those of sources, and those of the contract that no source feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from consumers.contract.decoding import CONTRACT, EventDecoder
from consumers.errors import UsageError
from consumers.settings import IngestSettings
from consumers.sources.file import SourceFile
from consumers.sources.loading import load_sources
from consumers.sources.registry import SchemaLoader
from consumers.sources.source import CompiledSource
from consumers.topics import CONTRACT_FEEDS, Feeds, InputTopic, Topic, TopicNames

_WRITTEN = (Topic.PROMOTIONS, Topic.DEAD_LETTERS, Topic.ALERTS)


@dataclass(frozen=True, slots=True)
class InputTopics:
    """The topics that workers read, and how."""

    names: TopicNames
    feeds: Feeds = field(default_factory=lambda: CONTRACT_FEEDS)
    """The topics with events, without `promotions`."""
    sources: Mapping[InputTopic, CompiledSource] = field(default_factory=dict)
    """The source of each topic that does not hold events of the contract."""
    fingerprint: str = ""
    """Differs for files of sources that may make different events; empty without sources."""
    schema_loader: SchemaLoader | None = None
    """Loads the schemas of sources in avro and protobuf."""

    @property
    def all(self) -> tuple[InputTopic, ...]:
        """The topics that workers read."""
        return (*self.feeds, Topic.PROMOTIONS)

    @property
    def used(self) -> tuple[InputTopic, ...]:
        """The topics that workers read or write."""
        return (*self.all, Topic.DEAD_LETTERS)


def load_inputs(settings: IngestSettings, *, exponent: int, decoder: EventDecoder = CONTRACT) -> InputTopics:
    """The topics by the settings. `exponent`: decimal places of money; `decoder`: of the model, for its fields.

    Raises SourcesError or UsageError.
    """
    names = settings.topic_names
    if not settings.sources:
        return InputTopics(names)
    path = Path(settings.sources)
    loaded = load_sources(path, exponent=exponent, decoder=decoder)
    inputs = compose_inputs(names, loaded.file, loaded.by_topic, str(path))
    return replace(inputs, fingerprint=loaded.fingerprint, schema_loader=loaded.schema_loader)


def compose_inputs(
    names: TopicNames, file: SourceFile, by_topic: Mapping[str, CompiledSource], path: str
) -> InputTopics:
    """The topics of a file of sources, in place of the topics of the contract that they feed.

    Raises UsageError for a topic that salepulse writes to or uses otherwise.
    """
    with_sources = replace(names, sources=tuple(by_topic))
    sources: dict[InputTopic, CompiledSource] = {}
    for name, source in by_topic.items():
        topic = with_sources.topic(name)
        if topic in _WRITTEN:
            raise UsageError(f"{path}: topic {name} is the topic {topic} of salepulse: remove its source")
        if not isinstance(topic, Topic) and name in list(Topic):
            raise UsageError(
                f"{path}: topic {name} has the name of a topic of salepulse that is called "
                f"{names.on_broker(Topic(name))} on the broker: set topic_{Topic(name).name.lower()} = {name}"
            )
        sources[topic] = source
    fed = {topic for source in file.sources for topic in source.feeds}
    feeds: dict[InputTopic, tuple[Topic, ...]] = {
        topic: feeding for topic, feeding in CONTRACT_FEEDS.items() if topic not in fed and topic not in sources
    }
    feeds |= {topic: source.feeds for topic, source in sources.items()}
    return InputTopics(with_sources, feeds, sources)

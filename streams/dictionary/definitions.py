"""What a model declares, as read: names are not resolved yet."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from consumers.contract.own_fields import FieldType
from streams.dictionary.types import DimensionKind, MeasureKind, Unit

DIMENSION_KINDS = (DimensionKind.FIELD, DimensionKind.BANDS, DimensionKind.CLOCK, DimensionKind.CROSS)
"""The fields of which a dimension has exactly one."""

Texts = str | tuple[str, ...]
"""One text or several."""


def texts(given: Texts) -> tuple[str, ...]:
    """Several texts, or the only one."""
    return (given,) if isinstance(given, str) else given


class WhereDefinition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The values that fit: `one_of` these, or none of `not_`."""

    one_of: Texts | None = None
    not_: Texts | None = field(default=None, name="not")


class DimensionDefinition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A dimension: exactly one of field, bands, clock, cross; none is the dimension of everything."""

    name: str
    id: int | None = None
    """Of a built-in one."""
    field: str | None = None
    bands: str | None = None
    edges: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    clock: str | None = None
    cross: tuple[str, ...] | None = None
    distincts: bool = False
    coarse_distincts: bool = False

    @property
    def kind(self) -> DimensionKind:
        """The only one of `DIMENSION_KINDS`."""
        return next((kind for kind in DIMENSION_KINDS if getattr(self, kind.value) is not None), DimensionKind.ALL)


class MeasureDefinition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A measure: exactly one of count, sum, distinct, min, max, quantiles."""

    name: str
    id: int | None = None
    """Of a built-in one."""
    count: Texts | None = None
    sum: str | None = None
    distinct: str | None = None
    min: str | None = None
    max: str | None = None
    quantiles: str | None = None
    of: Texts | None = None
    where: Mapping[str, Texts | WhereDefinition] = {}
    with_: str = field(default="", name="with")
    scopes: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    """Dimensions that have it besides those that fit: it is 0 there."""
    unit: Unit | None = None
    public: bool = True
    about: str = ""
    source: str = field(default="", name="from")

    @property
    def kind(self) -> MeasureKind:
        """The only one that is given."""
        return next(kind for kind in MeasureKind if getattr(self, kind.value) is not None)

    @property
    def events(self) -> tuple[str, ...]:
        """Event types, or topics."""
        return texts(self.count or self.of or ())

    @property
    def conditions(self) -> Mapping[str, WhereDefinition]:
        """`where` in its long form."""
        return {
            name: given if isinstance(given, WhereDefinition) else WhereDefinition(given)
            for name, given in self.where.items()
        }


class MetricDefinition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A metric: a formula, or code that computes it."""

    name: str
    formula: str = ""
    source: str = field(default="", name="from")
    unit: Unit | None = None
    good: str = ""
    scopes: tuple[str, ...] | None = None
    about: str = ""


class ModelDefinitions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Everything that one file declares."""

    version: int = 1
    fields: Mapping[str, Mapping[str, FieldType]] = {}
    dimensions: tuple[DimensionDefinition, ...] = ()
    measures: tuple[MeasureDefinition, ...] = ()
    metrics: tuple[MetricDefinition, ...] = ()


class StoredName(Struct, frozen=True, omit_defaults=True):
    """What a store keeps about the name of a dimension or measure."""

    id: int
    """In its panes."""
    definition: str
    """Hash of what it counts."""
    since_ms: int | None = None
    """Event time from which it is counted; None: from the beginning."""


class StoredNames(Struct, frozen=True):
    """What a store keeps about the names of its model, the built-in ones included."""

    dimensions: Mapping[str, StoredName] = {}
    measures: Mapping[str, StoredName] = {}

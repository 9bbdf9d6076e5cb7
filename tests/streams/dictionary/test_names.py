"""Names that a shop's own numbers and dimensions must not have."""

from __future__ import annotations

from prometheus_client import ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from alerts.metrics import AlertMetrics
from streams.dictionary.builtin import BUILT_IN
from streams.dictionary.names import RESERVED_NUMBERS, is_reserved
from streams.serve.metrics import SERVE_PROCESS
from streams.worker.metrics import WORKER_PROCESS, WorkerMetrics
from tests.tools.reference import running_families, served_families


def test_every_metric_of_a_process_is_reserved() -> None:
    """Add new families to `RESERVED_NUMBERS`, and remove those that are gone."""
    families = [*served_families(), *running_families()]
    for metrics in (WorkerMetrics(), AlertMetrics()):
        families += [
            f for found in vars(metrics).values() if isinstance(found, MetricWrapperBase) for f in found.describe()
        ]
    assert {family.name.removeprefix("salepulse_") for family in families} == RESERVED_NUMBERS
    for namespace in (SERVE_PROCESS, WORKER_PROCESS):
        families += ProcessCollector(namespace, registry=None).collect()
    samples = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    assert [name for name in samples if not is_reserved(name.removeprefix("salepulse_"))] == []


def test_no_built_in_number_is_reserved() -> None:
    assert [name for name in BUILT_IN.names if is_reserved(name)] == []

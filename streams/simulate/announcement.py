"""The promotion's definition, as it goes to the topic `promotions` before anything else."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from consumers.topics import Topic
from streams.simulate.config import SimulationConfig
from streams.simulate.encode import Message
from streams.simulate.incidents import sku_name
from streams.simulate.plan import PromotionPlan
from streams.simulate.world import RunContext

TARGETS = (0.8, 1.0, 1.2)
"""base, sprint and challenge over what is expected."""


def announcement(world: RunContext, expected_gmv: float) -> list[Message]:
    """The promotion's message, or none. `expected_gmv`: net, minor units; makes the default targets."""
    config, plan = world.config, world.config.promotion
    if plan is None:
        return []
    value = msgspec.json.encode(_definition(world, config, plan, expected_gmv))
    return [(str(Topic.PROMOTIONS), plan.promotion_id.encode(), config.start_ms, value)]


def _definition(
    world: RunContext, config: SimulationConfig, plan: PromotionPlan, expected_gmv: float
) -> dict[str, Any]:
    base, sprint, challenge = plan.targets or [max(1, round(expected_gmv * one)) for one in TARGETS]
    definition = {
        "promotion_id": plan.promotion_id,
        "name": plan.name,
        "starts_at": config.at(plan.phases[0].begins),
        "ends_at": config.at(plan.phases[-1].ends),
        "timezone": config.timezone,
        "phases": [
            {"name": one.name, "starts_at": config.at(one.begins), "ends_at": config.at(one.ends)}
            for one in plan.phases
        ],
        "targets": {"base": base, "sprint": sprint, "challenge": challenge},
        "skus": [sku_name(i) for i in np.flatnonzero(world.catalog.promoted).tolist()],
    }
    return {**definition, "baseline": plan.baseline} if plan.baseline else definition

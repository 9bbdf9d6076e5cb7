"""The simulator: a seeded sale with traffic, orders, stock, shipping, injected incidents and their ground truth.

`Simulation` yields batches of messages and counts them exactly; `Season` adds earlier sales; `write_season` writes
files for a replay. `docs/simulator.md` describes the model.
"""

from streams.simulate.config import (
    Disorder,
    Funnel,
    PromotionPlan,
    SimulatedPhase,
    SimulationConfig,
    SimulationError,
    StockPlan,
)
from streams.simulate.encode import Message
from streams.simulate.folder import ground_truth, write_season
from streams.simulate.generate import Batch, Season, Simulation
from streams.simulate.incidents import KINDS, Incident
from streams.simulate.truth import SimulatedSales, Truth

__all__ = [
    "KINDS",
    "Batch",
    "Disorder",
    "Funnel",
    "Incident",
    "Message",
    "PromotionPlan",
    "Season",
    "SimulatedPhase",
    "SimulatedSales",
    "Simulation",
    "SimulationConfig",
    "SimulationError",
    "StockPlan",
    "Truth",
    "ground_truth",
    "write_season",
]

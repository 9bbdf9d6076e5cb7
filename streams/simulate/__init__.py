"""The simulator: a seeded sale with traffic, orders, stock, shipping, injected incidents and their ground truth.

`generate(config)` yields batches of messages; `Simulation` also counts them exactly; `write_folder` writes files for a
replay. `docs/simulator.md` describes the model.
"""

from streams.simulate.config import SimulationConfig
from streams.simulate.encode import Message
from streams.simulate.folder import ground_truth, write_folder, write_season
from streams.simulate.generate import Batch, Simulation, generate
from streams.simulate.incident_kinds import KINDS
from streams.simulate.incidents import Incident
from streams.simulate.plan import Disorder, Funnel, PromotionPlan, SimulatedPhase, SimulationError, StockPlan
from streams.simulate.season import Season
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
    "generate",
    "ground_truth",
    "write_folder",
    "write_season",
]

"""A seeded sale: realistic traffic, orders, stock and shipping, with incidents on demand and their ground truth.

`generate(config)` yields what arrives step by step; `Simulation` keeps the exact counts beside it; `write_folder` makes
files for a replay. The model is described in `docs/simulator.md`.
"""

from streams.simulate.config import SimulationConfig
from streams.simulate.encode import Message
from streams.simulate.folder import ground_truth, write_folder, write_season
from streams.simulate.generate import Batch, Simulation, generate
from streams.simulate.incident_kinds import KINDS
from streams.simulate.incidents import Incident
from streams.simulate.plan import Disorder, Funnel, PromotionPlan, SimulatedPhase, SimulationError, StockPlan
from streams.simulate.season import Season
from streams.simulate.sold import SimulatedSales
from streams.simulate.truth import Truth

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

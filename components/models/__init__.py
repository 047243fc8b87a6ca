"""The model protocol, its families' inference and the registry ``models.db``."""

from components.models.inference import load_model, probabilities
from components.models.protocol import CLASSES, PROBABILITY_COLUMNS, STAGES, Model, ProbabilityModel, Stage
from components.models.store import ModelStore

__all__ = [
    "CLASSES",
    "PROBABILITY_COLUMNS",
    "STAGES",
    "Model",
    "ModelStore",
    "ProbabilityModel",
    "Stage",
    "load_model",
    "probabilities",
]

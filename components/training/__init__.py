"""Fit, cross-validate, compare with naive baselines, register. Works through `models` and `ledger`; has no store of its own."""

from components.training.boosting import TrainSpec, fit, predict
from components.training.folds import Fold, purged_folds
from components.training.measures import accuracy, direction_accuracy, last_known_label, log_loss, naive_measures
from components.training.train import train

__all__ = [
    "Fold",
    "TrainSpec",
    "accuracy",
    "direction_accuracy",
    "fit",
    "last_known_label",
    "log_loss",
    "naive_measures",
    "predict",
    "purged_folds",
    "train",
]

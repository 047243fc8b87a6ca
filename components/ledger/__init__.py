"""The trial ledger: every try that anybody makes, the failed and discarded ones too. Nothing in it is ever changed or deleted."""

from components.ledger.code import code_version
from components.ledger.counts import Tally, TrialGroup, groups, tally
from components.ledger.store import TRIAL_STATES, Trial, TrialLedger, TrialState

__all__ = ["TRIAL_STATES", "Tally", "Trial", "TrialGroup", "TrialLedger", "TrialState", "code_version", "groups", "tally"]

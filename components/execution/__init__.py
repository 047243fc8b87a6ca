"""The step (fill rules), costs and the paper broker: written once, for backtest, twin replay and paper."""

from components.execution.arrays import (
    POLICIES,
    Book,
    Costs,
    DecisionArrays,
    MarketArrays,
    column,
    decision_arrays,
    market_of_bars,
    market_of_ticks,
    new_book,
    no_events,
    no_requests,
    spec_rows,
)
from components.execution.birth import apply_request, close_bar
from components.execution.paper import BrokerEvent, PaperBroker, request_row
from components.execution.step import StepResult, advance, no_manage, run_step
from components.execution.warm import compile_all

__all__ = [
    "POLICIES",
    "Book",
    "BrokerEvent",
    "Costs",
    "DecisionArrays",
    "MarketArrays",
    "PaperBroker",
    "StepResult",
    "advance",
    "apply_request",
    "close_bar",
    "column",
    "compile_all",
    "decision_arrays",
    "market_of_bars",
    "market_of_ticks",
    "new_book",
    "no_events",
    "no_manage",
    "no_requests",
    "request_row",
    "run_step",
    "spec_rows",
]

"""The step (fill rules), costs and the paper broker: written once, for backtest, twin replay and paper."""

from components.execution.advance import advance, advance_row
from components.execution.arrays import (
    MANAGERS,
    POLICIES,
    Book,
    DecisionArrays,
    FinerRows,
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
from components.execution.costs import Costs, range_before
from components.execution.finer import Finer, finer_rows
from components.execution.paper import BrokerEvent, PaperBroker, request_row
from components.execution.step import StepResult, no_manage, run_step
from components.execution.warm import compile_all

__all__ = [
    "MANAGERS",
    "POLICIES",
    "Book",
    "BrokerEvent",
    "Costs",
    "DecisionArrays",
    "Finer",
    "FinerRows",
    "MarketArrays",
    "PaperBroker",
    "StepResult",
    "advance",
    "advance_row",
    "apply_request",
    "close_bar",
    "column",
    "compile_all",
    "decision_arrays",
    "finer_rows",
    "market_of_bars",
    "market_of_ticks",
    "new_book",
    "no_events",
    "no_manage",
    "no_requests",
    "range_before",
    "request_row",
    "run_step",
    "spec_rows",
]

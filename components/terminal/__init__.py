"""The simulated MetaTrader terminal: recorded prices, a paper broker, and the same HTTP conversation as the Expert Advisor's."""

from components.terminal.market import TickPath, ticks_of_bars
from components.terminal.simulated import SimulatedTerminal

__all__ = ["SimulatedTerminal", "TickPath", "ticks_of_bars"]

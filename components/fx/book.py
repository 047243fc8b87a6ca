"""Layout of the book in compiled code: one account, its positions, its working orders, and requests to change them.

Everything that trades, in a backtest, on paper or live, keeps its state in these float64 arrays:

- account, shape (ACCOUNT_FIELDS,)
- positions, shape (symbols, K, POSITION_FIELDS), the open ones first, oldest first
- orders, shape (symbols, K, ORDER_FIELDS), the working ones first, oldest first
- requests, shape (capacity, REQUEST_FIELDS)

NaN means "none" in every price field. Tickets are whole numbers; a position carries the ticket of the order that opened it, as in MetaTrader.
P_BORN_BAR is the bar whose decision asked for the position: the same in bars, in ticks and live, so `manage` takes a position's age from it.
P_OPEN_ROW is the row of the fill, which only the step's own events use. P_SWAP is the interest of all nights so far, not yet in the balance.
A_CURRENCY, S_BASE and S_PROFIT are currencies as numbers (`currency_number`). The KEY fields hold the place of an order, a stop and a target in
the queue of the `reference` fill policy, which works through one list.
"""

from __future__ import annotations

from enum import IntEnum

# account
A_BALANCE = 0
A_EQUITY = 1
A_MARGIN = 2
A_DAY_ID = 3
A_DAY_START_EQUITY = 4
A_NEXT_TICKET = 5
A_LEVERAGE = 6
A_FRONT_KEY = 7
A_BACK_KEY = 8
A_STOP_OUT_LEVEL = 9
A_CURRENCY = 10
ACCOUNT_FIELDS = 11

# position
P_TICKET = 0
P_SIDE = 1
P_LOTS = 2
P_ENTRY = 3
P_STOP = 4
P_TARGET = 5
P_TRAIL = 6
P_OPEN_ROW = 7
P_REASON = 8
P_ENTRY_COST = 9
P_STOP_KEY = 10
P_TARGET_KEY = 11
P_BORN_BAR = 12
P_SWAP = 13
POSITION_FIELDS = 14

# order
O_TICKET = 0
O_SIDE = 1
O_KIND = 2
O_LOTS = 3
O_PRICE = 4
O_STOP = 5
O_TARGET = 6
O_STOP_DISTANCE = 7
O_TARGET_DISTANCE = 8
O_TRAIL = 9
O_BORN_BAR = 10
O_EXPIRY_BARS = 11
O_POSITION = 12
O_REASON = 13
O_KEY = 14
O_EXIT = 15
ORDER_FIELDS = 16

# request
R_ACTION = 0
R_SYMBOL = 1
R_SIDE = 2
R_KIND = 3
R_LOTS = 4
R_PRICE = 5
R_STOP = 6
R_TARGET = 7
R_STOP_DISTANCE = 8
R_TARGET_DISTANCE = 9
R_TRAIL = 10
R_TICKET = 11
R_BAR = 12
R_EXPIRY_BARS = 13
R_REASON = 14
R_REFUSED = 15
R_EXIT = 16
REQUEST_FIELDS = 17

# instrument, as compiled code needs it: shape (symbols, SPEC_FIELDS)
S_CONTRACT_SIZE = 0
S_POINT = 1
S_LOT_STEP = 2
S_LOT_MIN = 3
S_LOT_MAX = 4
S_MARGIN_RATE = 5
S_DIGITS = 6
S_SWAP_MODE = 7
S_SWAP_LONG = 8
S_SWAP_SHORT = 9
S_SWAP_TRIPLE = 10
S_BASE = 11
S_PROFIT = 12
SPEC_FIELDS = 13

# event: what the step did, shape (capacity, EVENT_FIELDS)
E_ROW = 0
E_KIND = 1
E_SYMBOL = 2
E_TICKET = 3
E_SIDE = 4
E_LOTS = 5
E_PRICE = 6
E_PROFIT = 7
E_COST = 8
E_EXIT = 9
E_REASON = 10
E_LEVEL = 11
E_AMBIGUOUS = 12
E_ENTRY_ROW = 13
E_ENTRY_PRICE = 14
E_ORDER_TICKET = 15
E_STOP = 16
E_TARGET = 17
E_SWAP = 18
EVENT_FIELDS = 19


def currency_number(code: str) -> float:
    """A currency code as a number that compiled code can compare: its letters as the digits of one number, exact in float64."""
    number = 0
    for letter in code:
        number = number * 256 + ord(letter) % 256
    return float(number)


class SwapMode(IntEnum):
    """What a broker's swap figure means, as MetaTrader's SYMBOL_SWAP_MODE says it."""

    POINTS = 0
    ACCOUNT = 1
    PROFIT = 2
    BASE = 3
    PERCENT = 4
    PERCENT_OPEN = 5


class OrderKind(IntEnum):
    """How an order enters the market."""

    MARKET = 0
    STOP = 1
    LIMIT = 2


class Action(IntEnum):
    """What a request asks for."""

    OPEN = 1
    CLOSE = 2
    MODIFY = 3
    CANCEL = 4


class EventKind(IntEnum):
    """What happened in the book."""

    PLACED = 1
    OPENED = 2
    CLOSED = 3
    MODIFIED = 4
    CANCELLED = 5
    REFUSED = 6


class Refusal(IntEnum):
    """Why a request was refused."""

    NONE = 0
    RISK_PER_TRADE = 1
    SIZE_TOO_SMALL = 2
    INVALID_STOPS = 3
    NO_MARGIN = 4
    BOOK_FULL = 5
    UNKNOWN_TICKET = 6
    TRADING_HALTED = 7
    OPEN_RISK = 8
    TOTAL_POSITIONS = 9
    CURRENCY_EXPOSURE = 10


class ExitKind(IntEnum):
    """Why a position was closed."""

    NONE = 0
    STOP = 1
    TARGET = 2
    SIGNAL = 3
    REVERSAL = 4
    END_OF_DATA = 5
    STOP_OUT = 6
    MANUAL = 7

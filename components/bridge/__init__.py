"""The mailbox shared with MetaTrader: wire, signatures, ticks in, signals out, reports and account snapshots in. It decides nothing.

Signals are inserted through `components.bridge.issue`, which only the desk imports. `Bridge`, `shapes`, `wire`, `answers` and `openapi` are for
the HTTP API.
"""

from components.bridge import answers, openapi, shapes, wire
from components.bridge.bars import BarArrays, BarCounts, BarRow, BarsPosted, BarStore, BarVersion, BrokerOffset
from components.bridge.client import ApiClient, Pending
from components.bridge.feeds import Intake, TickArrays
from components.bridge.records import (
    PROTOCOL,
    DeploymentBook,
    JournalEntry,
    PositionChange,
    Reconciliation,
    StoredSignal,
    SymbolFacts,
    Terminal,
    TerminalFacts,
    WorkingOrder,
)
from components.bridge.running import Bridge
from components.bridge.signing import (
    ERROR_HEADER,
    NONCE_HEADER,
    SERVER_TIME_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    Unsigned,
    Verifier,
    load_or_make_key,
    sign_request,
)
from components.bridge.store import LEASE_MS, REPORT_DUE_MS, Mailbox, Swept
from components.bridge.ticks import TickRow, TickStore
from components.bridge.wake import WakeListener, WakeSender
from components.bridge.wanted import Stretch, silence_of

__all__ = [
    "ERROR_HEADER",
    "LEASE_MS",
    "NONCE_HEADER",
    "PROTOCOL",
    "REPORT_DUE_MS",
    "SERVER_TIME_HEADER",
    "SIGNATURE_HEADER",
    "TIME_HEADER",
    "ApiClient",
    "BarArrays",
    "BarCounts",
    "BarRow",
    "BarStore",
    "BarVersion",
    "BarsPosted",
    "Bridge",
    "BrokerOffset",
    "DeploymentBook",
    "Intake",
    "JournalEntry",
    "Mailbox",
    "Pending",
    "PositionChange",
    "Reconciliation",
    "StoredSignal",
    "Stretch",
    "Swept",
    "SymbolFacts",
    "Terminal",
    "TerminalFacts",
    "TickArrays",
    "TickRow",
    "TickStore",
    "Unsigned",
    "Verifier",
    "WakeListener",
    "WakeSender",
    "WorkingOrder",
    "answers",
    "load_or_make_key",
    "openapi",
    "shapes",
    "sign_request",
    "silence_of",
    "wire",
]

"""Signals of a backtest as a file that the Expert Advisor reads in the Strategy Tester, which has no network: broker time, one line for each instruction."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from components.backtest.store import BacktestStore, StoredRun
from components.base import write_atomic
from components.fx import BadInput, EventKind, Instrument, Refused, Timeframe, bar_close_ms
from components.fx import book as b

if TYPE_CHECKING:
    from components.execution import StepResult
    from components.pipeline import BrokerClock

COLUMNS: Final = (
    "time", "id", "action", "symbol", "side", "entry", "price", "stop", "target", "stop_points", "target_points", "lots", "expires", "reason",
)  # fmt: skip
ACTIONS: Final = ("open", "modify", "close", "cancel")
MINUTE_MS = 60_000
SAME = 1e-9


@dataclass(frozen=True)
class SignalFile:
    """A file of signals that was written: where, how many lines of each action, and by which clock its times are."""

    path: Path
    rows: int
    actions: Mapping[str, int]
    clock: str


def export_signals(home: Path, run_id: str, path: Path, clock: BrokerClock, *, symbol: str | None = None, overwrite: bool = False) -> SignalFile:
    """Write the instructions that a backtest would have given to a terminal.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id : str
        A run of ours.
    path : Path
        The file; it belongs into the terminal's ``Common\\Files``.
    clock : BrokerClock
        The broker's clock: in the tester all times are the server's.
    symbol : str, optional
        The broker's own name of the instrument.
    overwrite : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    SignalFile

    Raises
    ------
    NotFound
        If there is no such run, or its bars are gone.
    BadInput
        If the run was imported, or the file is there already.
    Refused
        If the strategy as it is now does not make the trades that the run has.

    Notes
    -----
    The file is UTF-8 without a mark (plain ASCII in fact), comma-separated, with a header: ``time,id,action,symbol,side,entry,price,stop,target,
    stop_points,target_points,lots,expires,reason``. `time` is the close of the bar whose decision it is, ``YYYY.MM.DD HH:MM:SS`` by the broker's clock: the
    expert carries it out at the first tick from then on. ``open`` has `entry` (market, stop, limit), the `price` of a working order, stop and
    target as prices or as points from the fill, and `expires` where the order does; ``modify`` names the new stop and target, blank for none;
    ``close`` has the lots to close, blank for all of them; ``cancel`` takes back a working order. `id` says which order or position is meant. What the terminal does by itself, a
    stop or a target that is hit, is not in the file.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise BadInput("path", f"{path} is there already; name another file, or allow it to be replaced")
    store = BacktestStore.open(Path(home))
    try:
        run = store.run(run_id)
        kept = store.trades(run.id)
    finally:
        store.close()
    if run.source != "sequence":
        raise BadInput("run", f"{run_id} was imported; only a run of ours can be made into signals")
    frame = _signals(Path(home), run, kept, symbol)
    frame["time"] = _wall(frame["at_ms"].to_numpy(), clock)
    expires = frame["expires_ms"].to_numpy()
    frame["expires"] = np.where(expires > 0, _wall(np.maximum(expires, 0), clock), "")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(frame[list(COLUMNS)].itertuples(index=False, name=None))
    write_atomic(path, buffer.getvalue().encode("ascii", "replace"))
    counts = frame["action"].value_counts()
    return SignalFile(path, len(frame), {name: int(counts.get(name, 0)) for name in ACTIONS}, str(clock.eras[-1]))


def read_signals(path: Path, clock: BrokerClock) -> pd.DataFrame:
    """Signals that `export_signals` wrote, with ``time`` in UTC and NaN where a number is blank.

    Raises
    ------
    BadInput
        If the header is another one, or a line is wrong.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != COLUMNS:
        raise BadInput("file", f"its header is not {','.join(COLUMNS)}")
    wrong = next((n for n, line in enumerate(lines[1:], 2) if len(line) != len(COLUMNS) or line[2] not in ACTIONS), None)
    if wrong is not None:
        raise BadInput(f"file.{wrong}", f"the line has {len(lines[wrong - 1])} cells or an unknown action")
    frame = pd.DataFrame(lines[1:], columns=list(COLUMNS), dtype="str")
    for name in ("price", "stop", "target", "stop_points", "target_points", "lots"):
        frame[name] = pd.to_numeric(frame[name].where(frame[name] != ""), errors="raise").astype("float64")
    for name in ("time", "expires"):
        at = pd.to_datetime(frame[name].where(frame[name] != ""), format="%Y.%m.%d %H:%M:%S")
        known = at.notna().to_numpy()
        utc = np.full(len(at), np.datetime64("NaT", "ms"))
        utc[known] = clock.to_utc(pd.DatetimeIndex(at[known]).as_unit("ms").asi8).astype("M8[ms]")
        frame[name] = pd.DatetimeIndex(utc).tz_localize("UTC")
    return frame


def _signals(home: Path, run: StoredRun, kept: pd.DataFrame, symbol: str | None) -> pd.DataFrame:
    from components.backtest.execute import load_inputs, parse_spec, runner_for

    inputs = load_inputs(home, parse_spec(run.spec | {"params": run.params}))
    runner = runner_for(home, inputs)
    wishes = runner.decide(inputs.params)
    # The runner's own step: whatever rules its runs follow, the events are those that made their trades.
    step = runner._step(inputs.params, 0, len(inputs.bars), wishes, runner.account, "against")
    _refuse_other_trades(run, kept, step)
    market, item = runner.market, runner.instrument
    opens = pd.DatetimeIndex(inputs.bars.index).as_unit("ms").asi8
    closes = bar_close_ms(opens, Timeframe.named(run.timeframe))
    spread = np.broadcast_to(market.spread[:, 0], (len(opens),)) if len(market.spread) == 1 else market.spread[:, 0]
    expiry = wishes.expiry[:, 0]
    made = _lines(step.events, item, market.close[:, 0], spread, inputs.strategy.reasons, run.id[-8:])
    for line in made:
        row = line.pop("row")
        line["at_ms"] = int(closes[row])
        bars = int(expiry[row if len(expiry) > 1 else 0])
        is_working = line["action"] == "open" and line["entry"] != "market" and bars > 0
        line["expires_ms"] = int(closes[min(row + bars, len(closes) - 1)]) if is_working else 0
        line["symbol"] = symbol or item.broker_symbol
    names = [name for name in COLUMNS if name not in ("time", "expires")] + ["at_ms", "expires_ms"]
    return pd.DataFrame(made, columns=names)


def _refuse_other_trades(run: StoredRun, kept: pd.DataFrame, step: StepResult) -> None:
    closed = step.events[step.events[:, b.E_KIND] == EventKind.CLOSED]
    known = kept[kept["exit"] != "end_of_data"]
    same = len(closed) >= len(known) and all(
        np.allclose(closed[: len(known), place], known[name].to_numpy(dtype=np.float64), rtol=0, atol=SAME)
        for place, name in ((b.E_SIDE, "side"), (b.E_LOTS, "lots"), (b.E_ENTRY_PRICE, "entry_price"), (b.E_PRICE, "exit_price"))
    )
    if not same:
        raise Refused(
            "run_changed",
            f"{run.strategy} makes other trades now than in run {run.id} (code {run.code_version}); run the backtest again and export that",
        )


def _lines(
    events: np.ndarray, item: Instrument, close: np.ndarray, spread: np.ndarray, reasons: Mapping[int, str], mark: str
) -> list[dict[str, Any]]:
    """One line for every instruction among the events of a run."""
    lines: list[dict[str, Any]] = []
    opened: dict[int, np.ndarray] = {
        int(event[b.E_TICKET]): event for event in events if event[b.E_KIND] == EventKind.OPENED
    }  # what an order became: stops that are distances are prices from there on
    for event in events:
        kind, ticket, row = int(event[b.E_KIND]), event[b.E_TICKET], int(event[b.E_ROW])
        if kind not in (EventKind.PLACED, EventKind.MODIFIED, EventKind.CANCELLED) or math.isnan(ticket):
            continue
        line: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {
            "row": row,
            "id": f"{mark}-{int(ticket)}",
            "reason": _words(reasons.get(int(event[b.E_REASON]), "")),
        }
        if kind == EventKind.CANCELLED:
            line["action"] = "cancel"
        elif kind == EventKind.MODIFIED:
            line |= {"action": "modify", "stop": _price(event[b.E_STOP], item), "target": _price(event[b.E_TARGET], item)}
        elif not math.isnan(event[b.E_LEVEL]):  # an order that closes: the level is the position's ticket
            line |= {
                "action": "close",
                "id": f"{mark}-{int(event[b.E_LEVEL])}",
                "side": _side(event),
                "entry": "market",
                "lots": _lots(event[b.E_LOTS]),
            }
        else:
            line |= {"action": "open", "side": _side(event), "lots": _lots(event[b.E_LOTS]), **_entry(event, close[row], spread[row], item)}
            line |= _levels(event, opened.get(int(ticket)), item)
        lines.append(line)
    return lines


def _entry(event: np.ndarray, bid: float, spread: float, item: Instrument) -> dict[str, str]:
    price = float(event[b.E_PRICE])
    if math.isnan(price):
        return {"entry": "market", "price": ""}
    is_beyond = price >= bid + spread if event[b.E_SIDE] > 0 else price <= bid
    return {"entry": "stop" if is_beyond else "limit", "price": _price(price, item)}


def _levels(event: np.ndarray, fill: np.ndarray | None, item: Instrument) -> dict[str, str]:
    """Stop and target as prices where the order named them, else as points from its fill."""
    out: dict[str, str] = {}
    for name, place in (("stop", b.E_STOP), ("target", b.E_TARGET)):
        level = float(event[place])
        out[name] = _price(level, item)
        if math.isnan(level) and fill is not None and not math.isnan(fill[place]):
            out[f"{name}_points"] = f"{abs(float(fill[place] - fill[b.E_PRICE])) / item.point:.0f}"
    return out


def _side(event: np.ndarray) -> str:
    return "buy" if event[b.E_SIDE] > 0 else "sell"


def _price(price: float, item: Instrument) -> str:
    return "" if math.isnan(price) else item.price_text(float(price))


def _lots(lots: float) -> str:
    return "" if math.isnan(lots) else f"{float(lots):.8f}".rstrip("0").rstrip(".")


def _words(text: str) -> str:
    """Words without the signs that a reader of plain CSV trips over."""
    return " ".join("".join(letter if letter.isascii() and letter.isprintable() and letter not in ',;"' else " " for letter in text).split())[:60]


def _wall(utc_ms: np.ndarray, clock: BrokerClock) -> np.ndarray:
    days, place = np.unique(utc_ms // 3_600_000, return_inverse=True)
    offsets = np.array([clock.offset_minutes_at(int(hour) * 3_600_000) for hour in days], dtype=np.int64)
    wall = utc_ms + (offsets[place] if len(offsets) else 0) * MINUTE_MS
    return np.asarray(pd.DatetimeIndex(wall.astype("M8[ms]")).strftime("%Y.%m.%d %H:%M:%S"), dtype=object)

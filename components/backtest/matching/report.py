"""Our backtest beside the Strategy Tester's, trade by trade."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from components.backtest.matching.advice import sentences
from components.backtest.matching.causes import CAUSES, Attribution, attribute
from components.backtest.matching.clock import FoundClock, find_clock
from components.backtest.matching.pairs import match_trades
from components.backtest.matching.waterfall import rows_of, waterfall
from components.backtest.reports import platform_symbol
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.studies import Study
from components.backtest.work import Progress, kept_id, silent
from components.fx import BadInput, Timeframe, instrument, known_symbols
from components.ledger import code_version

if TYPE_CHECKING:
    from components.pipeline import BrokerClock

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Comparison:
    """What a comparison found: its result as plain JSON, and the tables ``matches`` and ``waterfall``."""

    result: dict[str, Any]
    matches: pd.DataFrame
    waterfall: pd.DataFrame


def compare_with_report(
    home: Path,
    run_id: str,
    report_run_id: str,
    *,
    tolerance_bars: float = 3.0,
    price_tolerance: float = 0.005,
    clock: BrokerClock | None = None,
    progress: Progress | None = None,
) -> Study:
    """Compare a run with an imported report of the Strategy Tester.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id, report_run_id : str
        Our run, and the one that `import_report` made.
    tolerance_bars : float
        How many of our bars an entry of theirs may be away and still be the same trade.
    price_tolerance : float
        How far the entry prices may be apart, as a share of the price.
    clock : BrokerClock, optional
        The broker's clock; found from the trades where it is not given.
    progress : callable, optional

    Returns
    -------
    Study
        Of kind ``mt5_comparison``. Its result: ``ours theirs matched missing extra agree clock spread_points slippage_points waterfall change``;
        amounts in account currency, theirs less ours. Table ``matches`` has a row for every trade of either side, with the money of each cause;
        table ``waterfall`` goes from our profit to theirs and adds up to the cent.

    Raises
    ------
    NotFound
        If there is no such run.
    BadInput
        If a tolerance is not positive, the accounts have different currencies, or the report has no trade of our symbol.
    """
    report = progress or silent
    if not tolerance_bars > 0:
        raise BadInput("tolerance_bars", f"{tolerance_bars!r} is not a positive number of bars")
    if not 0 < price_tolerance < 1:
        raise BadInput("price_tolerance", f"{price_tolerance!r} is not a share of the price between 0 and 1")
    report(0.0, f"loading {run_id} and {report_run_id}")
    store = BacktestStore.open(Path(home))
    try:
        run, other = store.run(run_id), store.run(report_run_id)
        ours, theirs = store.trades(run.id), store.trades(other.id)
        study_id = kept_id(report)
        spec = {
            "run_id": run.id, "report_run_id": other.id, "tolerance_bars": tolerance_bars, "price_tolerance": price_tolerance,
            "clock": None if clock is None else str(clock.eras[-1]),
        }  # fmt: skip
        if run.currency != other.currency:
            raise BadInput("report", f"its account is in {other.currency}, our run's in {run.currency}; test on accounts of one currency")
        store.studies.start(
            Study(id=study_id, kind="mt5_comparison", title=f"{run.name} beside {other.name}", strategy=run.strategy, bar_set_id=run.bar_set_id,
                  run_id=run.id, spec=spec, code_version=code_version())
        )  # fmt: skip
        try:
            report(0.2, f"matching {len(ours):,} trades with {len(theirs):,}")
            found = compare_trades(run, ours, other, theirs, tolerance_bars=tolerance_bars, price_tolerance=price_tolerance, clock=clock)
        except Exception as error:
            store.studies.finish(study_id, "failed", {"error": str(error) or type(error).__name__})
            raise
        store.studies.keep_frame(study_id, "matches", found.matches)
        store.studies.keep_frame(study_id, "waterfall", found.waterfall)
        done = store.studies.finish(study_id, "done", found.result)
        report(1.0, f"{found.result['matched']} of {found.result['theirs']['trades']} trades matched", matched=found.result["matched"])
        return done
    finally:
        store.close()


def compare_trades(
    run: StoredRun,
    ours: pd.DataFrame,
    other: StoredRun,
    theirs: pd.DataFrame,
    *,
    tolerance_bars: float = 3.0,
    price_tolerance: float = 0.005,
    clock: BrokerClock | None = None,
) -> Comparison:
    """The comparison itself, from tables of trades; see `compare_with_report`."""
    point = _point(run.symbol, ours, theirs)
    bar_ms = Timeframe.named(run.timeframe).ms if run.timeframe in Timeframe.__members__ else MINUTE_MS
    own, foreign = _plain(ours), _plain(theirs)
    mine = np.array([(platform_symbol(name) or name) == run.symbol or name == run.symbol for name in foreign["symbol"]], dtype=bool)
    if "symbol" in ours.columns:  # a report beside a report: all symbols of both
        mine = foreign["symbol"].isin(set(own["symbol"])).to_numpy() | mine
    elsewhere, foreign = foreign[~mine], foreign[mine].reset_index(drop=True)
    if len(theirs) and not len(foreign):
        raise BadInput("symbol", f"the report has no trade of {run.symbol}; it has {', '.join(sorted(set(elsewhere['symbol']))[:8])}")
    found_clock = _clock(own, foreign, bar_ms, point, clock)
    if len(foreign):
        foreign = _in_utc(foreign, found_clock.clock)
    price = float(np.median(own["entry_price"])) if len(own) else 1.0
    left, right = match_trades(own, foreign, bar_ms, tolerance_bars, price_tolerance * price)
    pair_ours, pair_theirs = own.iloc[left].reset_index(drop=True), foreign.iloc[right].reset_index(drop=True)
    found = attribute(pair_ours, pair_theirs, bar_ms, point)
    missing, extra = own.drop(index=own.index[left]), foreign.drop(index=foreign.index[right])
    open_cost = sum(float(one.get("commission") or 0.0) for one in other.stats.get("open_positions", ()) if isinstance(one, dict))
    amounts = dict(zip(CAUSES, found.amounts.sum(axis=0).tolist(), strict=True))
    amounts["missing"] -= float(missing["net_profit"].sum())
    amounts["extra"] += float(extra["net_profit"].sum())
    amounts["other symbols"] += float(elsewhere["net_profit"].sum())
    amounts["end of test"] += open_cost
    touched = (np.abs(found.amounts) >= 0.005).sum(axis=0)
    counts = dict(zip(CAUSES, touched.tolist(), strict=True)) | {"missing": len(missing), "extra": len(extra), "other symbols": len(elsewhere)}
    counts |= {"ours": len(ours), "theirs": len(theirs)}
    our_net, their_net = float(own["net_profit"].sum()), float(theirs["net_profit"].sum()) + open_cost
    steps = waterfall(our_net, their_net, amounts, counts)
    matches = _matches(pair_ours, pair_theirs, found, missing, extra)
    agree = int((matches["cause"] == "agrees").sum())
    costs = run.spec.get("costs", {}) if isinstance(run.spec.get("costs"), dict) else {}
    result = {
        "ours": {"run_id": run.id, "trades": len(ours), "net_profit": round(our_net, 2)},
        "theirs": {"run_id": other.id, "trades": len(theirs), "net_profit": round(their_net, 2)},
        "currency": run.currency,
        "matched": len(left),
        "missing": len(missing),
        "extra": len(extra),
        "agree": agree,
        "agreement": agree / max(1, len(matches)),
        "clock": found_clock.as_json(),
        "spread_points": round(found.fills.spread / point, 2),
        "slippage_points": round(found.fills.slippage / point, 2),
        "price_offset_points": round(found.fills.offset / point, 2),
        "waterfall": rows_of(steps),
        "change": sentences(pair_ours, pair_theirs, found, amounts, found_clock, costs, point, (missing, extra), run.currency),
    }
    return Comparison(result, matches, steps)


def _clock(own: pd.DataFrame, foreign: pd.DataFrame, bar_ms: int, point: float, named: BrokerClock | None) -> FoundClock:
    from components.pipeline import BrokerClock

    if named is not None:
        return FoundClock(named, 1.0, float(len(foreign)), ())
    if foreign.empty or own.empty:
        return FoundClock(BrokerClock.named("none", 0), 0.0, 0.0, ())
    return find_clock(own, foreign, bar_ms, point)


def _in_utc(foreign: pd.DataFrame, clock: BrokerClock) -> pd.DataFrame:
    times: dict[str, Any] = {}
    for one in ("entry", "exit"):
        raw = foreign[f"{one}_raw_ms"].to_numpy(dtype=np.int64)
        order = np.argsort(raw, kind="stable")
        utc = np.empty_like(raw)
        utc[order] = clock.to_utc(raw[order])
        times[f"{one}_ms"] = utc
        times[f"{one}_time"] = pd.DatetimeIndex(utc.astype("M8[ms]")).tz_localize("UTC")
    return foreign.assign(**times)


def _plain(trades: pd.DataFrame) -> pd.DataFrame:
    """Trades with all the columns that a comparison reads."""
    frame = trades.reset_index(drop=True).copy()
    for one in ("entry", "exit"):
        frame[f"{one}_ms"] = pd.DatetimeIndex(frame[f"{one}_time"]).as_unit("ms").asi8
        if f"{one}_raw_ms" not in frame.columns:
            frame[f"{one}_raw_ms"] = frame[f"{one}_ms"]
    for name, value in (("swap", 0.0), ("symbol", ""), ("level", np.nan)):
        if name not in frame.columns:
            frame[name] = value
    return frame


def _matches(ours: pd.DataFrame, theirs: pd.DataFrame, found: Attribution, missing: pd.DataFrame, extra: pd.DataFrame) -> pd.DataFrame:
    """A row for every trade of either side, in the order of entries."""
    largest = np.argmax(np.abs(found.amounts), axis=1) if len(ours) else np.empty(0, dtype=np.int64)
    is_same = (np.abs(found.amounts).max(axis=1) < 0.015) & (found.entry_bars_late == 0) & found.same_exit if len(ours) else np.empty(0, dtype=bool)
    names = np.array(CAUSES)
    parts = [
        pd.DataFrame(
            {"cause": np.where(is_same, "agrees", names[largest]), "entry_bars_late": found.entry_bars_late, "exit_bars_late": found.exit_bars_late}
        )
    ]
    shown = ("ticket", "side", "lots", "entry_time", "exit_time", "entry_price", "exit_price", "exit", "net_profit")
    for frame, whose in ((ours, "our"), (theirs, "their")):
        parts.append(frame[list(shown)].rename(columns={name: f"{whose}_{name}" for name in shown}).reset_index(drop=True))
    money = pd.DataFrame(found.amounts, columns=[_column(name) for name in CAUSES])
    rows = [pd.concat([*parts, money], axis=1)]
    for frame, whose, cause, sign in ((missing, "our", "missing", -1.0), (extra, "their", "extra", 1.0)):
        if len(frame):
            alone = frame[list(shown)].rename(columns={name: f"{whose}_{name}" for name in shown}).reset_index(drop=True)
            rows.append(alone.assign(cause=cause, **{_column(cause): sign * frame["net_profit"].to_numpy()}))
    table = pd.concat(rows, ignore_index=True) if len(rows) > 1 else rows[0]
    columns = [_column(name) for name in CAUSES]
    table[columns] = table[columns].fillna(0.0)
    table["difference"] = table[columns].sum(axis=1)
    for name in ("our_ticket", "their_ticket", "our_side", "their_side", "entry_bars_late", "exit_bars_late"):
        table[name] = table[name].astype("Int64")
    for name in ("our_exit", "their_exit", "cause"):
        table[name] = table[name].fillna("").astype("str")
    order = table["our_entry_time"].fillna(table["their_entry_time"]).argsort(kind="stable")
    return table.iloc[order.to_numpy()].reset_index(drop=True)


def _column(cause: str) -> str:
    return "because_" + re.sub(r"\W", "_", cause)


def _point(symbol: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """The instrument's point; of one that is not known, the last decimal of its prices."""
    if symbol in known_symbols():
        return instrument(symbol).point
    prices = pd.concat([ours["entry_price"], theirs["entry_price"]]).head(200)
    digits = max((len(f"{price:.8f}".rstrip("0").partition(".")[2]) for price in prices), default=5)
    return float(10.0**-digits)

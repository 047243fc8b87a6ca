"""One door for what the Strategy Tester leaves: a file of any of its kinds in, a stored run or a study out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from components.backtest.reports.deals_csv import is_deals_csv, read_deals_csv
from components.backtest.reports.document import TesterReport
from components.backtest.reports.holding import holding_times
from components.backtest.reports.html import read_html, text_of
from components.backtest.reports.identities import check_balance, check_identities
from components.backtest.reports.optimisation import read_optimisation
from components.backtest.reports.pairing import Pairing, pair_deals
from components.backtest.reports.passes import keep_optimisation
from components.backtest.reports.xlsx import read_xlsx
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.studies import Study
from components.backtest.trades import TRADE_COLUMNS, measures
from components.base import now_ms, write_atomic
from components.fx import BadInput, BrokerDay, NotFound, known_symbols
from components.ledger import TrialLedger, code_version

if TYPE_CHECKING:
    from components.pipeline import BrokerClock

MAX_BYTES: Final = 2 << 30
KINDS: Final = ("html", "xlsx", "optimisation", "deals_csv", "json")
POLICY: Final = "mt5 tester"
PAYMENTS: Final = ("balance", "credit")


def import_report(
    home: Path,
    path_or_bytes: Path | str | bytes,
    *,
    name: str | None = None,
    kind: str | None = None,
    symbol: str | None = None,
    clock: BrokerClock | None = None,
) -> StoredRun | Study:
    """Keep what the Strategy Tester found: a report as a run, an optimisation as a study.

    The same content gives the same run, however often and in whatever encoding it comes; it is stored once. The original bytes are kept under
    ``reports/<sha256>``.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    path_or_bytes : Path, str or bytes
        A file, or its content: the tester's HTML or XLSX report, the XML of an optimisation, the CSV of deals that the Expert Advisor writes, or a
        JSON document as `import_backtest` takes it.
    name : str, optional
        The run's name; made from expert, symbol and timeframe where none is given.
    kind : {'html', 'xlsx', 'optimisation', 'deals_csv', 'json'}, optional
        Recognised from the content where it is not given.
    symbol : str, optional
        The platform's name of the instrument, where the broker's is not recognised.
    clock : BrokerClock, optional
        The broker's clock. Without it the broker's times are taken for UTC, and ``stats["clock"]`` says so.

    Returns
    -------
    StoredRun or Study
        A run has `source` ``"imported"``, its trades in the columns of our own and besides them ``symbol commission swap entry_raw_ms exit_raw_ms
        pairing comment exit_comment entry_deal exit_deal``; ``stats["report"]`` holds the report's own 54 values beside our measures. Its equity
        is the balance after each deal.

    Raises
    ------
    NotFound
        If there is no such file.
    BadInput
        If the file cannot be read, or contradicts itself: with the identity, both numbers and the row.
    """
    home = Path(home)
    content = _bytes_of(path_or_bytes)
    found = kind or recognise(content)
    if found not in KINDS:
        raise BadInput("kind", f"{found!r} is unknown; use one of {', '.join(KINDS)}")
    if found == "json":
        kept: StoredRun | Study = _import_json(home, content)
    elif found == "optimisation":
        kept = keep_optimisation(home, read_optimisation(content), hashlib.sha256(content).hexdigest(), name)
    else:
        report = {"html": read_html, "xlsx": read_xlsx, "deals_csv": read_deals_csv}[found](content)
        kept = _keep(home, report, found, hashlib.sha256(content).hexdigest(), name, symbol, clock)
    file = home / "reports" / hashlib.sha256(content).hexdigest()
    if not file.exists():
        write_atomic(file, content)
    return kept


def recognise(content: bytes) -> str:
    """What kind of file this is, from its first bytes.

    Raises
    ------
    BadInput
        If it is none that the Strategy Tester or our Expert Advisor writes.
    """
    if content[:4] == b"PK\x03\x04":
        return "xlsx"
    head = content[:4_096]
    try:
        text = text_of(head[: len(head) // 4 * 4])
    except BadInput:
        text = head.decode("utf-8", "ignore")  # a letter may be cut in two at the end of the head
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<?xml", "<workbook")) and ("spreadsheet" in start or "<workbook" in start):
        return "optimisation"
    if start.startswith("{"):
        return "json"
    if is_deals_csv(text):
        return "deals_csv"
    if start.startswith("<") and ("<html" in start or "<table" in start or "<!doctype html" in start):
        return "html"
    raise BadInput(
        "file", "its kind is not known; give a Strategy Tester report (HTML or XLSX), an optimisation (XML), a CSV of deals, or a JSON document"
    )


def platform_symbol(broker_symbol: str) -> str | None:
    """The platform's name of what a broker calls ``EURUSD.raw`` or ``EURUSD_i``; None where it is not known."""
    asked = broker_symbol.upper()
    known = sorted(known_symbols(), key=len, reverse=True)
    if asked in known:
        return asked
    begins = [one for one in known if asked.startswith(one)]
    inside = begins or [one for one in known if one in asked]
    return inside[0] if inside and (begins or len(inside) == 1) else None


def utc_times(raw_ms: np.ndarray, clock: BrokerClock | None) -> pd.DatetimeIndex:
    """UTC of the broker's times; the same numbers where the clock is not known."""
    ms = np.asarray(raw_ms, dtype=np.int64)
    if clock is not None and len(ms):
        # In order: an hour that autumn shows twice is told by the place in the file.
        order = np.argsort(ms, kind="stable")
        utc = np.empty_like(ms)
        utc[order] = clock.to_utc(ms[order])
        ms = utc
    return pd.DatetimeIndex(ms.astype("M8[ms]")).tz_localize("UTC")


def trades_frame(paired: Pairing, clock: BrokerClock | None) -> pd.DataFrame:
    """The trades of a report in the columns of our own runs, in the order of their exits; bars are unknown (−1)."""
    names = (
        "ticket", "side", "lots", "entry_price", "exit_price", "stop", "target", "gross_profit", "commission", "swap", "exit", "level", "entry_raw_ms",
        "exit_raw_ms", "symbol", "pairing",
    )  # fmt: skip
    texts, whole = {"exit", "symbol", "pairing"}, {"ticket", "side", "entry_raw_ms", "exit_raw_ms"}
    columns: dict[str, Any] = {
        one: pd.Series([trade[one] for trade in paired.trades], dtype="str" if one in texts else "int64" if one in whole else "float64")
        for one in names
    }
    for one in ("comment", "exit_comment"):
        columns[one] = pd.Series([trade[one] for trade in paired.trades], dtype="str")
    for one in ("entry_deal", "exit_deal"):
        columns[one] = pd.Series([trade[one] for trade in paired.trades], dtype="int64")
    frame = pd.DataFrame(columns)
    frame["cost"] = 0.0 - frame["commission"]
    frame["net_profit"] = frame["gross_profit"] + frame["commission"] + frame["swap"]
    for one in ("entry", "exit"):
        frame[f"{one}_time"] = utc_times(frame[f"{one}_raw_ms"].to_numpy(), clock)
        frame[f"{one}_bar"] = np.full(len(frame), -1, dtype=np.int64)
    frame["ambiguous"], frame["reason"] = False, np.zeros(len(frame), dtype=np.int64)
    frame["reason_text"] = frame["comment"]
    first = [one for one in TRADE_COLUMNS if one in frame.columns]
    return frame[first + [one for one in frame.columns if one not in first]]


def _keep(home: Path, report: TesterReport, kind: str, digest: str, name: str | None, symbol: str | None, clock: BrokerClock | None) -> StoredRun:
    deals = report.deals
    if deals.empty:
        raise BadInput("deals", "there is none; a report has at least the row with the initial deposit")
    steps = np.diff(deals["time_raw_ms"].to_numpy())
    if (steps < 0).any():
        at = int(np.flatnonzero(steps < 0)[0]) + 2
        raise BadInput(f"deals.{at}.time", "lies before the deal above it; the table is not in the order of time")
    if kind == "deals_csv":
        check_balance(deals)
        checked = ["balance of every row"]
    else:
        checked = check_identities(report)
    run_id = f"mt5-{_content_digest(report, clock)[:12]}"
    store, ledger = BacktestStore.open(home), TrialLedger.open(home)
    try:
        try:
            return store.run(run_id)
        except NotFound:
            pass
        paired = pair_deals(deals)
        trades = trades_frame(paired, clock)
        run = _run(report, kind, digest, run_id, name, symbol, clock, paired, trades, checked)
        kept = store.add(run, trades, balance_curve(deals, clock)[0])
        metrics = {name: kept.stats[name] for name in ("sharpe", "days", "trades", "total_return", "max_drawdown")} | {"source": "imported"}
        digest_of_returns = kept.stats["returns_digest"]
        ledger.append(kept.strategy, kept.strategy, kept.params, None, code_version(), "import", "done", metrics, digest_of_returns, trial_id=run_id)
        return kept
    finally:
        store.close()
        ledger.close()


def _run(
    report: TesterReport, kind: str, digest: str, run_id: str, name: str | None, symbol: str | None, clock: BrokerClock | None, paired: Pairing,
    trades: pd.DataFrame, checked: list[str],
) -> StoredRun:  # fmt: skip
    values, deals = report.values, report.deals
    equity, day_id = balance_curve(deals, clock)
    deposit = float(deals["balance"].iloc[0])
    if deposit <= 0:
        raise BadInput("initial_deposit", f"{deposit:.2f} is not a positive balance to begin with")
    stats = measures(trades["net_profit"].to_numpy(dtype=np.float64), equity.to_numpy(dtype=np.float64), day_id, deposit)
    stats |= {
        "costs": float(trades["cost"].sum()),
        "swap": float(trades["swap"].sum()),
        "exits": {str(one): int(count) for one, count in trades["exit"].value_counts().items()},
        "ruined": bool(equity.min() <= 0),
        "report": values,
        "identities": checked,
        "clock": "broker time, offset not known: times are taken for UTC until a comparison finds it" if clock is None else str(clock),
        "pairing": dict(paired.by) | {"netting": paired.netting} | holding_times(report, trades),
        "open_positions": [{key: None if value != value else value for key, value in one.items()} for one in paired.left],
        "symbols": {str(one): int(count) for one, count in trades["symbol"].value_counts().items()},
        "last_deal_day": str(pd.Timestamp(int(deals["time_raw_ms"].iloc[-1]), unit="ms").date()),
    }
    known = symbol or platform_symbol(values["symbol"]) or values["symbol"] or (trades["symbol"].iloc[0] if len(trades) else "")
    spec = {
        "kind": kind, "file": digest, "broker_symbol": values["symbol"], "server": report.server, "build": report.build, "from_day": report.from_day,
        "to_day": report.to_day, "inputs": report.inputs, "clock": None if clock is None else str(clock),
        "account": {"currency": values["currency"] or "USD", "balance": deposit, "leverage": values["leverage"]},
        "model": values["history_quality"], "company": values["company"], "orders": report.orders,
    }  # fmt: skip
    days = [pd.Timestamp(day, tz="UTC") for day in (report.from_day, report.to_day) if day]
    times = [*days, *equity.index]
    return StoredRun(
        id=run_id,
        name=name or " ".join(part for part in (values["expert"] or "deals", known, report.timeframe) if part),
        source="imported",
        strategy=values["expert"] or "mt5",
        params=dict(report.inputs),
        symbol=known,
        timeframe=report.timeframe,
        bar_set_id=None,
        dataset_id=None,
        model_id=None,
        policy=POLICY,
        currency=spec["account"]["currency"],
        spec=spec,
        stats=stats,
        total_return=stats["total_return"],
        sharpe=stats["sharpe"],
        max_drawdown=stats["max_drawdown"],
        trades=stats["trades"],
        start_ms=int(min(times).timestamp() * 1000),
        end_ms=int(max(times).timestamp() * 1000),
        code_version=code_version(),
        created_ms=now_ms(),
    )


def balance_curve(deals: pd.DataFrame, clock: BrokerClock | None) -> tuple[pd.Series, np.ndarray]:
    """Balance after every deal and at the end of every weekday between, UTC, and the FX day of each; without what was paid in or out on the way."""
    times = utc_times(deals["time_raw_ms"].to_numpy(), clock)
    paid = deals["profit"].where(deals["type"].isin(PAYMENTS), 0.0).to_numpy(dtype=np.float64).copy()
    paid[0] = 0.0  # the deposit that the test begins with
    curve = pd.Series(deals["balance"].to_numpy(dtype=np.float64) - paid.cumsum(), index=times, name="equity").sort_index(kind="stable")
    curve = curve[~curve.index.duplicated(keep="last")]
    # 16:00 New York: an hour before the FX day turns, whatever the season.
    first, last = (at.tz_convert("America/New_York").tz_localize(None).normalize() for at in (curve.index[0], curve.index[-1]))
    ends = (pd.bdate_range(first, last) + pd.Timedelta(hours=16)).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms")
    ends = ends[(ends > curve.index[0]) & (ends < curve.index[-1])]
    whole = curve.reindex(curve.index.union(ends)).ffill()
    whole.index.name = "time"
    return whole, BrokerDay().day_ids(pd.DatetimeIndex(whole.index)).to_numpy(dtype=np.int64)


def _import_json(home: Path, content: bytes) -> StoredRun:
    from components.backtest.imports import import_backtest

    try:
        document = json.loads(text_of(content))
    except (ValueError, RecursionError) as error:
        raise BadInput("file", f"it is not JSON: {str(error)[:200]}") from None
    return import_backtest(home, document)


def _content_digest(report: TesterReport, clock: BrokerClock | None) -> str:
    """Of what the report says, not of how it is written: a copy saved in another encoding is the same report."""
    document = {"values": report.values, "inputs": report.inputs, "server": report.server, "clock": None if clock is None else str(clock)}
    rows = report.deals.drop(columns="row").to_csv(index=False, float_format="%.10g")
    return hashlib.sha256((json.dumps(document, sort_keys=True) + rows).encode()).hexdigest()


def _bytes_of(path_or_bytes: Path | str | bytes) -> bytes:
    if isinstance(path_or_bytes, bytes):
        content = path_or_bytes
    else:
        path = Path(path_or_bytes)
        try:
            if path.is_file() and path.stat().st_size > MAX_BYTES:
                raise BadInput("file", f"{path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
            content = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}") from None
        except (OSError, ValueError) as error:
            raise BadInput("file", f"{path} cannot be read: {error}") from None
    if not content.strip():
        raise BadInput("file", "it is empty")
    return content

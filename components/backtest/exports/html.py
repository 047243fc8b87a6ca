"""A backtest as one HTML file: verdict, measures, curves, months, trades, costs, settings. It needs no network and no script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from components.backtest.exports.page import page
from components.backtest.exports.svg import histogram, line_chart
from components.backtest.findings import Finding
from components.backtest.reports.names import NAMES
from components.backtest.store import BacktestStore, StoredRun
from components.base import write_atomic
from components.fx import NotFound, drawdown_curve, from_ms, instrument, known_symbols

TRADES: Final = 500
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TEXT = 600


def html_report(home: Path, run_id: str, path: Path, *, findings: Sequence[Finding] | None = None) -> Path:
    """Write a run as an HTML page that stands alone.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id : str
        A run of ours, or an imported one.
    path : Path
        The file; replaced where it is there.
    findings : sequence of Finding, optional
        What checks said about the run; the diagnosis where none are given.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    NotFound
        If there is no such run, or its files are gone.
    """
    store = BacktestStore.open(Path(home))
    try:
        run = store.run(run_id)
        trades, equity = store.trades(run.id), store.equity(run.id)["equity"]
    finally:
        store.close()
    told = _diagnosed(Path(home), run) if findings is None else tuple(findings)
    sections = [
        _head(run),
        _verdict(Path(home), run, told),
        _measures(run, trades),
        _section("Equity", _equity(run, equity)),
        _section(
            "Drawdown",
            line_chart(
                pd.DatetimeIndex(equity.index),
                -drawdown_curve(equity.to_numpy(dtype=np.float64)),
                label="drawdown (share of the peak)",
                kind="fall",
                height=150,
                percent=True,
            ),
        ),
        _section("Return by month", _months(equity, _start_balance(run, equity))),
        _section(
            f"Profit of trades ({run.currency})",
            histogram(trades["net_profit"].to_numpy(dtype=np.float64), label=f"profit of trades in {escape(run.currency)}"),
        ),
        _section("Exits", _exits(trades, run)),
        _section("Costs", _costs(run, trades)),
        _section("Findings", _findings(told)) if told else "",
        _section("The report's own numbers", _own_numbers(run)) if isinstance(run.stats.get("report"), dict) else "",
        _section("Settings", _settings(run)),
        _section("Trades", _trades(trades, run)),
        f"<footer>Sequence FX · run {escape(run.id)} · made {from_ms(run.created_ms):%Y-%m-%d %H:%M} UTC with code {escape(run.code_version)}. "
        "Times are UTC; a drawdown is a share of the peak before it; the Sharpe ratio is that of daily returns, annualised.</footer>",
    ]
    write_atomic(Path(path), page(_text(run.name), "\n".join(part for part in sections if part)).encode())
    return Path(path)


def _head(run: StoredRun) -> str:
    days = f"{from_ms(run.start_ms):%Y-%m-%d} to {from_ms(run.end_ms):%Y-%m-%d}" if run.end_ms else "no dates"
    made = {"sequence": "run here", "imported": "imported"}.get(run.source, run.source)
    what = " · ".join(part for part in (run.strategy, run.symbol, run.timeframe, days, f"fills: {run.policy}", made) if part)
    return f'<h1>{_text(run.name)}</h1>\n<p class="dim">{_text(what)}</p>'


def _verdict(home: Path, run: StoredRun, findings: Sequence[Finding]) -> str:
    from components.backtest.verdict import verdict

    found = verdict(home, run.id, findings=findings)
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in found.reasons)
    said = f"<ul>{reasons}</ul>" if reasons else f"<p>{_text(found.line)}</p>"
    return f'<div class="verdict {escape(found.word.split()[0])}"><b>{_text(found.word)}</b>{said}</div>'


def _diagnosed(home: Path, run: StoredRun) -> Sequence[Finding]:
    """Findings of the diagnosis; none where the files that it reads are gone."""
    from components.backtest.diagnosis import diagnose, evidence_of

    try:
        return diagnose(evidence_of(home, run.id))
    except NotFound:
        return ()


def _measures(run: StoredRun, trades: pd.DataFrame) -> str:
    s, unit = run.stats, run.currency
    shown = [
        ("Net profit", _money(s.get("net_profit"), unit), s.get("net_profit")),
        ("Return", _share(run.total_return, signed=True), run.total_return),
        ("Sharpe ratio (annualised)", _plain(run.sharpe, 2), run.sharpe),
        ("Largest drawdown", _share(run.max_drawdown), None),
        ("Trades", f"{run.trades:,}", None),
        ("Won", _share(s.get("win_rate")), None),
        ("Profit factor", "no loss" if s.get("profit_factor") is None and run.trades else _plain(s.get("profit_factor"), 2), None),
        ("Mean profit of a trade", _money(s.get("average_profit"), unit), s.get("average_profit")),
        ("Best trade", _money(s.get("best_trade"), unit), None),
        ("Worst trade", _money(s.get("worst_trade"), unit), None),
        ("Trading days", f"{s.get('days', 0):,}", None),
        ("Median time held", _held(trades), None),
    ]
    if s.get("ambiguous_bars") is not None:
        shown.append(("Ambiguous bars", f"{s['ambiguous_bars']:,}", None))
        shown.append(("Profit if they favour us", _money(s.get("profit_favour"), unit), None))
    cells = "".join(f'<div><span>{escape(name)}</span><strong class="{_sign(sign)}">{escape(text)}</strong></div>' for name, text, sign in shown)
    return _section("Measures", f'<div class="measures">{cells}</div>')


def _start_balance(run: StoredRun, equity: pd.Series) -> float:
    account = run.spec.get("account") if isinstance(run.spec.get("account"), dict) else {}
    start = account.get("balance", run.spec.get("balance")) if isinstance(account, dict) else None
    return float(start) if isinstance(start, int | float) else float(equity.iloc[0]) if len(equity) else 0.0


def _equity(run: StoredRun, equity: pd.Series) -> str:
    kind = "balance after each deal" if run.source == "imported" else "equity at the close of each bar"
    label = f"{kind} in {escape(run.currency)}"
    return f'<p class="dim">{label}; dashed: the starting balance</p>' + line_chart(
        pd.DatetimeIndex(equity.index), equity.to_numpy(dtype=np.float64), label=label, base=_start_balance(run, equity)
    )


def _months(equity: pd.Series, start: float) -> str:
    """Returns by month, a row for each year; a month's return is on the equity at its beginning."""
    if equity.empty:
        return '<p class="none">No data.</p>'
    index = pd.DatetimeIndex(equity.index)
    last = equity.groupby([index.year, index.month]).last()
    before = np.concatenate(([start], last.to_numpy(dtype=np.float64)[:-1]))
    returns = {key: value / was - 1.0 for key, value, was in zip(last.index, last.to_numpy(dtype=np.float64), before, strict=True) if was > 0}
    rows = []
    for year in sorted({year for year, _ in returns}):
        cells = [returns.get((year, month)) for month in range(1, 13)]
        whole = float(np.prod([1.0 + one for one in cells if one is not None]) - 1.0)
        rows.append(f"<tr><td>{year}</td>" + "".join(_heat(one) for one in cells) + _heat(whole) + "</tr>")
    head = "".join(f"<th>{month}</th>" for month in MONTHS)
    return f'<div class="wide"><table><thead><tr><th>Year</th>{head}<th>Year %</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div><p class="dim">percent</p>'


def _heat(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    depth = min(abs(value) / 0.10, 1.0) * 0.45
    colour = f"rgba(0,224,96,{depth:.2f})" if value >= 0 else f"rgba(255,92,92,{depth:.2f})"
    return f'<td style="background:{colour}">{_signed(100 * value)}</td>'


def _exits(trades: pd.DataFrame, run: StoredRun) -> str:
    if trades.empty:
        return '<p class="none">No trades.</p>'
    rows = []
    for name, part in sorted(trades.groupby("exit"), key=lambda one: -len(one[1])):
        profit = part["net_profit"].to_numpy(dtype=np.float64)
        rows.append(
            (str(name).replace("_", " "), f"{len(part):,}", _share(float((profit > 0).mean())), _signed(profit.sum()), _signed(profit.mean()))
        )
    for side, words in ((1, "long"), (-1, "short")):
        part = trades[trades["side"] == side]
        profit = part["net_profit"].to_numpy(dtype=np.float64)
        if len(part):
            rows.append((f"all {words}", f"{len(part):,}", _share(float((profit > 0).mean())), _signed(profit.sum()), _signed(profit.mean())))
    return _table(("Exit", "Trades", "Won", f"Net profit ({run.currency})", "Mean"), rows)


def _costs(run: StoredRun, trades: pd.DataFrame) -> str:
    gross = float(trades["gross_profit"].sum()) if len(trades) else 0.0
    swap = float(trades["swap"].sum()) if "swap" in trades.columns else 0.0
    net = float(trades["net_profit"].sum()) if len(trades) else 0.0
    commission = gross + swap - net
    lots = float(trades["lots"].sum()) if len(trades) else 0.0
    rows = [
        ("Profit of prices, spread and slippage included", _signed(gross)),
        ("Commission", _signed(-commission)),
        ("Swap", _signed(swap)),
        ("Net profit", _signed(net)),
        ("Commission per lot and side", f"{commission / lots / 2:.2f}" if lots else "–"),
        ("Lots traded", f"{lots:,.2f}"),
    ]
    costs = run.spec.get("costs")
    told = f'<p class="dim">Assumed: {_text(_flat(costs))}</p>' if isinstance(costs, dict) else ""
    return _table(("Part", run.currency), rows) + told


def _findings(findings: Sequence[Finding]) -> str:
    order = {"fatal": 0, "doubt": 1, "note": 2}
    rows = "".join(
        f'<tr><td class="{escape(one.severity)}">{escape(one.severity)}</td><td class="text">{_text(one.title)}</td><td class="words">{_text(one.finding)}</td>'
        f'<td class="words">{_text(one.fix)}</td></tr>'
        for one in sorted(findings, key=lambda one: order[one.severity])
    )
    return f'<div class="wide"><table><thead><tr><th>Weight</th><th class="text">Check</th><th class="text">Finding</th><th class="text">What to do</th></tr></thead><tbody>{rows}</tbody></table></div>'


def _own_numbers(run: StoredRun) -> str:
    said = run.stats["report"]
    return _words_table([(name.replace("_", " "), _said(said[name], form)) for name, form in NAMES if name in said])


def _said(value: Any, form: str = "") -> str:
    """A value of a report as the terminal shows it: the first half, the second in brackets."""
    if isinstance(value, dict):
        parts = [_said(value.get(name)) + (" %" if name == "percent" else "") for name in form.split()]
        return f"{parts[0]} ({parts[1]})" if len(parts) == 2 else _flat(value)
    if value is None or value == "":
        return "–"
    return (f"{value:,.10g}" if isinstance(value, int | float) else str(value)) + (" %" if form == "percent" else "")


def _settings(run: StoredRun) -> str:
    rows = [("Parameters", _flat(run.params) or "none")]
    for name, value in run.spec.items():
        if name not in ("params", "inputs", "strategy", "policy", "name", "bar_set_id", "model_id") and value not in (None, "", (), [], {}):
            rows.append((str(name).replace("_", " "), _flat(value) if isinstance(value, dict) else str(value)))
    for name, known in (("bar set", run.bar_set_id), ("dataset", run.dataset_id), ("model", run.model_id)):
        if known:
            rows.append((name, known))
    if isinstance(run.stats.get("clock"), str):
        rows.append(("clock", run.stats["clock"]))
    return _words_table(rows)


def _trades(trades: pd.DataFrame, run: StoredRun) -> str:
    if trades.empty:
        return '<p class="none">No trades.</p>'
    digits = instrument(run.symbol).digits if run.symbol in known_symbols() else 5
    rows = []
    for number, one in enumerate(trades.head(TRADES).to_dict("records"), 1):
        side = "long" if one["side"] > 0 else "short"
        levels = ["" if one[name] != one[name] else f"{one[name]:.{digits}f}" for name in ("stop", "target")]
        rows.append((
            str(number), f"{one['entry_time']:%Y-%m-%d %H:%M}", f"{one['exit_time']:%Y-%m-%d %H:%M}", side, f"{one['lots']:g}", f"{one['entry_price']:.{digits}f}",
            f"{one['exit_price']:.{digits}f}", *levels, str(one["exit"]).replace("_", " "), _signed(one["net_profit"]),
        ))  # fmt: skip
    note = f'<p class="dim">The first {TRADES} of {len(trades):,}; all of them are in the CSV export.</p>' if len(trades) > TRADES else ""
    heads = ("#", "Entry (UTC)", "Exit (UTC)", "Side", "Lots", "Entry price", "Exit price", "Stop", "Target", "Exit", f"Net ({run.currency})")
    return note + _table(heads, rows)


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f'<td class="{_sign_of_text(cell)}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _words_table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f'<tr><td>{_text(name)}</td><td class="words">{_text(value)}</td></tr>' for name, value in rows)
    return f'<div class="wide"><table><tbody>{body}</tbody></table></div>'


def _text(words: Any) -> str:
    text = str(words)
    return escape(text if len(text) <= TEXT else text[:TEXT] + " …")


def _flat(document: Any) -> str:
    if not isinstance(document, dict):
        return str(document)
    return ", ".join(
        f"{name} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value}"
        for name, value in document.items()
        if value is not None
    )


def _money(value: Any, unit: str) -> str:
    return f"{_signed(value)} {unit}" if isinstance(value, int | float) else "–"


def _signed(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:+,.2f}"


def _share(value: Any, signed: bool = False) -> str:
    return f"{100 * value:{'+' if signed else ''}.2f} %" if isinstance(value, int | float) else "–"


def _plain(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def _sign(value: Any) -> str:
    return "" if not isinstance(value, int | float) or value == 0 else "up" if value > 0 else "down"


def _sign_of_text(cell: str) -> str:
    return "up" if cell[:1] == "+" and cell != "+0.00" else "down" if cell[:1] == "-" and cell[1:2].isdigit() else ""


def _held(trades: pd.DataFrame) -> str:
    if trades.empty:
        return "–"
    hours = float((trades["exit_time"] - trades["entry_time"]).dt.total_seconds().median()) / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"

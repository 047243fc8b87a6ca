"""The look-ahead audit of one strategy: other futures, other starts, later decisions, and its fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from components.backtest.audit.asked import Asked, Probabilities
from components.backtest.audit.checks import check_fills, check_in_sample, check_repeats, check_warmup, judge_warmup
from components.backtest.audit.lag import judge_lags, lag_table
from components.backtest.audit.naming import leak_of
from components.backtest.audit.report import AuditLeak, AuditReport, LagRow, WarmUp
from components.backtest.audit.search import ROUNDING, Failure, Search, find_moves
from components.backtest.findings import Finding
from components.backtest.rates import Reference
from components.backtest.run import Runner
from components.backtest.work import Progress, silent
from components.execution import Costs, decision_arrays
from components.fx import AccountSpec, BadInput, Instrument, Timeframe, validate_bars
from components.risk import Limits, Sizing
from components.strategy import Params, Strategy

DENSE = 250


def audit_strategy(
    strategy: Strategy,
    params: Mapping[str, Any] | Params | None,
    bars: pd.DataFrame,
    *,
    instrument: Instrument,
    probabilities: Probabilities | None = None,
    cuts: int = 24,
    dense: int = DENSE,
    seed: int = 0,
    progress: Progress | None = None,
    timeframe: Timeframe | None = None,
    trained_until_ms: int | None = None,
    account: AccountSpec | None = None,
    costs: Costs | None = None,
    sizing: Sizing | None = None,
    limits: Limits | None = None,
    policy: str = "mt5",
    conversion: Mapping[str, pd.DataFrame] | None = None,
    reference: Reference | None = None,
) -> AuditReport:
    """Look for look-ahead in a strategy.

    Parameters
    ----------
    strategy : Strategy
    params : mapping or Params
        Parameters that differ from its defaults.
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame of at least 3 rows.
    instrument : Instrument
    probabilities : DataFrame or callable, optional
        What a model says about the bars, or a function that asks it about any bars; only the function lets the model's own past be examined.
    cuts : int
        Futures that are tried over all bars: that many cuts drawn at random, and that many among the bars with a decision, beside the first
        and the last bars.
    dense : int
        Rows of each of four windows after which the future is tried row by row.
    seed : int
        Of the drawing and of the futures; the same seed finds the same.
    progress : callable, optional
    timeframe, trained_until_ms : optional
        Length of the bars and the end of the model's training: it may not answer about bars that closed up to then.
    account, costs, sizing, limits, policy, conversion, reference
        Rules of the backtests with late decisions, as in `run_backtest`.

    Returns
    -------
    AuditReport
        ``passed`` unless a past decision moved, the strategy does not repeat itself or changes its bars, or a fill was not possible. A
        result that is gone one bar later and a warm-up that is too short are doubts.

    Raises
    ------
    BadInput
        If there are fewer than 3 bars, or a parameter or a decision cannot be used.

    Notes
    -----
    Two futures are tried after each cut: none, and bars of another level with other moves, volumes and spreads after a longer pause. Every
    column of `Decisions` must agree bit for bit in every row up to the cut; where only the last bits differ, a note says so.
    """
    frame = validate_bars(bars)
    if len(frame) < 3:
        raise BadInput("bars", f"{len(frame)} bars are too few to audit; give at least 3")
    report = progress or silent
    asked = Asked(strategy, strategy.parse(params), instrument, probabilities)
    report(0.0, f"auditing {strategy.title} over {len(frame):,} bars")
    known = asked.context(frame).probabilities
    runner = Runner(
        strategy, frame, instrument=instrument, account=account, costs=costs, sizing=sizing, limits=limits, policy=policy, probabilities=known,
        conversion=conversion, reference=reference,
    )  # fmt: skip
    whole = asked.columns(frame)
    decisions = decision_arrays(asked.decide(frame), len(frame))
    findings = check_repeats(asked, frame)
    warmup = WarmUp(int(strategy.warmup_bars(asked.params)), 0, ())
    leaks: list[AuditLeak] = []
    found = Search({}, [])
    if not any(one.code == "not_repeatable" for one in findings):  # what moves by itself says nothing about the future
        found = find_moves(
            asked, frame, warmup.stated, cuts=cuts, dense=dense, seed=seed, tell=lambda share, words: report(0.05 + 0.65 * share, words)
        )
        leaks = _named(asked, frame, found, report)
        # A model is answered for by its own warm-up, and its deployment keeps the same first bar: here its answers stay what they are.
        warmup = check_warmup(replace(asked, probabilities=known), frame, whole, seed, lambda share, words: report(0.8 + 0.1 * share, words))
    if known is not None and trained_until_ms is not None and timeframe is not None:
        seen = check_in_sample(known, timeframe, trained_until_ms)
        leaks += [seen] if seen else []
    report(0.9, "backtests with late decisions")
    result = runner.run(asked.params, decisions=decisions)
    lags: tuple[LagRow, ...] = lag_table(runner, asked.params, decisions)
    findings = [*(_leak_finding(leak) for leak in leaks), *findings, *check_fills(runner, asked.params, decisions, result.trades)]
    others = (judge_warmup(warmup), judge_lags(lags, result.stats["days"]), _failed(found.failures), _rounded(found.rounding))
    findings += [one for one in others if one is not None]
    said = "nothing that looks ahead" if not leaks else f"{len(leaks)} columns look ahead: {', '.join(leak.column for leak in leaks)}"
    report(1.0, f"{found.cuts} futures tried, {said}", leaks=len(leaks))
    return AuditReport(strategy.name, asked.params.model_dump(mode="json"), len(frame), found.cuts, tuple(leaks), lags, warmup, tuple(findings))


def _named(asked: Asked, bars: pd.DataFrame, found: Search, report: Progress) -> list[AuditLeak]:
    """One leak for each column that moved, named by the future that shows it best: bars that changed, else bars that were taken away."""
    moves = {column: found.moves.get((column, "perturbation")) or found.moves[column, "truncation"] for column, _ in found.moves}
    leaks = []
    for number, (column, move) in enumerate(moves.items()):
        report(0.7 + 0.1 * number / len(moves), f"{column} looks ahead; finding the function that does")
        leaks.append(leak_of(asked, bars, move))
    return leaks


def _leak_finding(leak: AuditLeak) -> Finding:
    where = " ".join(part for part in (leak.function, f"({leak.place})" if leak.place else "") if part)
    what = f", in `{leak.expression}`" if leak.expression else ""
    if leak.kind == "in_sample":
        words = f"The model answered about bars that it was trained on, from row {leak.row} on; its training ends with row {leak.cut}."
        fix = "Ask the model only about bars that closed after its training; answers before that must be NaN."
    else:
        done = "taken away" if leak.kind == "truncation" else "changed"
        words = f"{leak.column} of row {leak.row} moved when only the bars after row {leak.cut} were {done}; it comes from {where}{what}."
        fix = "Use only what is known at the close of each bar; shift, resample and average backwards in time."
    return Finding("look_ahead", "Looks ahead", "fatal", words, vars(leak).copy(), fix)


def _rounded(columns: set[str]) -> Finding | None:
    if not columns:
        return None
    return Finding(
        "rounding",
        "Rounded by the number of bars",
        "note",
        f"The last bits of {', '.join(sorted(columns))} follow the number of bars, by a relative {ROUNDING:g} at most; no future is in that.",
        {"columns": sorted(columns), "room": ROUNDING},
        "Nothing need be done; sums over fixed windows give the same bits everywhere.",
    )


def _failed(failures: list[Failure]) -> Finding | None:
    if not failures:
        return None
    first = failures[0]
    return Finding(
        "fails_on_other_bars",
        "Cannot decide over other bars",
        "doubt",
        f"The strategy raised over {len(failures)} of the histories and futures that were tried, first up to row {first.cut}: {first.error}",
        {"failures": len(failures), "kind": first.kind, "cut": first.cut, "error": first.error},
        "Let decide answer over any bars, with no wish where it does not know enough.",
    )

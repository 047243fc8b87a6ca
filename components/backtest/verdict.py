"""One line on every result: believable, doubtful or not believable, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from components.backtest.findings import Finding, Severity
from components.backtest.store import BacktestStore, StoredRun
from components.backtest.studies import Study
from components.fx import NotFound

Word = Literal["believable", "doubtful", "not believable"]
Document = dict[str, Any]
RECENT_STUDIES = 500
JUDGED_HERE = ("ruined", "few_trades", "ambiguous", "sign_of_resolution")
"""Checks of the diagnosis that say what the verdict says itself, by its own bounds."""


@dataclass(frozen=True)
class Bound:
    """When a number makes a result doubtful, and when not believable; None where it never does.

    Parameters
    ----------
    doubtful, not_believable : float or None
    above : bool
        Whether too much of it is what hurts; else too little does.
    why : str
        Reason for the bound.
    """

    doubtful: float | None
    not_believable: float | None
    above: bool
    why: str

    def severity(self, value: float) -> Severity:
        """What a value does to the verdict; a value at the bound is good enough."""
        for limit, answer in ((self.not_believable, "fatal"), (self.doubtful, "doubt")):
            if limit is not None and (value > limit if self.above else value < limit):
                return answer  # type: ignore[return-value]
        return "note"


THRESHOLDS: Final[dict[str, Bound]] = {
    "trades": Bound(100, 30, False, "under 30 trades a mean says nothing about the next; under 100 one trade still moves it"),
    "days": Bound(60, 20, False, "a Sharpe ratio of daily returns needs days"),
    "dsr": Bound(0.95, 0.5, False, "5 % chance of luck after all tries; under a half it is rather luck than not (Bailey and López de Prado 2014)"),
    "walk_efficiency": Bound(0.5, None, False, "chosen anew, it should go on earning half of what it had earned (Pardo 2008)"),
    "ambiguous_share": Bound(0.05, 0.25, True, "trades whose outcome inside a bar nobody knows"),
    "pbo": Bound(0.2, 0.5, True, "from a half on the choice is no better than any (Bailey et al. 2017)"),
    "spa": Bound(0.1, None, True, "chance that the best of the sweep is luck (Hansen 2005)"),
    "entries": Bound(0.1, None, True, "chance that random entries do as well"),
    "resampled_loss": Bound(0.05, 0.25, True, "share of redrawn trade histories that lose"),
    "ruin": Bound(0.01, 0.1, True, "share of redrawn trade histories that lose half of the account"),
}
"""The one table of bounds. Beside it: a loss, a ruined account or a failed look-ahead audit is not believable; no look-ahead audit, a track record
under its minimum length, a walk-forward that loses, a profit that dearer costs take, fills without a spread, or that only exists because of how ambiguous bars were
resolved, is doubtful; findings of the diagnosis have their own severity."""


@dataclass(frozen=True)
class Verdict:
    """What to think of a run.

    Parameters
    ----------
    run_id : str
    word : {'believable', 'doubtful', 'not believable'}
    line : str
        The word with the weightiest reason, one sentence.
    reasons : tuple of str
        All of them, the weightiest first; of a believable run what it rests on.
    facts : dict
        The numbers behind them, plain JSON: ``net_profit total_return trades days sharpe sharpe_error psr dsr dsr_raw sharpe_by_luck tried
        tried_distinct tried_effective min_track_days track_reached ambiguous_share profit_against profit_favour audit_passed audit_id
        honesty_id pbo spa entries resampled_loss ruin dear_profit walk_id walk_return walk_efficiency``, None where unknown, and ``findings`` (counts by severity).
    """

    run_id: str
    word: Word
    line: str
    reasons: tuple[str, ...]
    facts: Document


def verdict(home: Path, run_id: str, *, findings: Sequence[Finding] | None = None) -> Verdict:
    """Say what to think of a kept run, of ours or imported.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id : str
    findings : sequence of Finding, optional
        Of the diagnosis; by default it is made here.

    Raises
    ------
    NotFound
        If there is no such run.

    Notes
    -----
    Nothing is drawn here: what needs drawing is read from the newest examination (`honesty.examine`) of the run, the overfitting of its sweep
    and the walk-forward from the newest of its strategy on the same bars. The audit is the newest one of the run, or of its strategy with the same parameters,
    model and bars. `THRESHOLDS` holds the bounds.
    """
    store = BacktestStore.open(home)
    try:
        run = store.run(run_id)
        facts = facts_of(store, run)
    finally:
        store.close()
    found = list(_diagnosed(Path(home), run.id) if findings is None else findings)
    facts["findings"] = {level: sum(one.severity == level for one in found) for level in ("fatal", "doubt", "note")}
    judged = _judged(run, facts) + [
        (one.severity, one.finding.rstrip(".")) for one in found if one.severity != "note" and one.code not in JUDGED_HERE
    ]
    fatal = [words for severity, words in judged if severity == "fatal"]
    doubts = [words for severity, words in judged if severity == "doubt"]
    word: Word = "not believable" if fatal else "doubtful" if doubts else "believable"
    reasons = fatal + doubts or _merits(facts)
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 and word != "believable" else ""
    line = f"{word}: {'; '.join(reasons) if word == 'believable' else reasons[0]}{more}"
    return Verdict(run.id, word, line, tuple(reasons), facts)


def facts_of(store: BacktestStore, run: StoredRun) -> Document:
    """The numbers that a verdict rests on; see `Verdict`."""
    from components.backtest.honesty.luck import luck_of
    from components.backtest.honesty.trials import count_trials

    stats = run.stats
    try:
        luck = luck_of(store, run)
    except NotFound:  # its equity is gone; what is left is still judged
        tries = count_trials(store.home, run.strategy)
        luck = {"sharpe": None, "dsr": None, "trials": {"raw": tries.raw, "distinct": tries.distinct, "effective": tries.effective}}
    sharpe, dsr, tries = luck["sharpe"] or {}, luck["dsr"] or {}, luck["trials"]
    own, shared = _examinations(store, run)
    audit = _audit_of(store, run)
    drawn = own.result.get("montecarlo") or {} if own else {}
    overfit = shared.result if shared else {}
    walk = _walk_of(store, run)
    walked = walk.result if walk else {}
    return {
        "net_profit": stats.get("net_profit"),
        "total_return": run.total_return,
        "trades": run.trades,
        "days": sharpe.get("days", stats.get("days", 0)),
        "sharpe": run.sharpe,
        "sharpe_error": sharpe.get("error"),
        "psr": sharpe.get("psr"),
        "dsr": dsr.get("effective"),
        "dsr_raw": dsr.get("raw"),
        "sharpe_by_luck": dsr.get("mark_effective"),
        "tried": tries["raw"],
        "tried_distinct": tries["distinct"],
        "tried_effective": tries["effective"],
        "min_track_days": sharpe.get("min_track_days"),
        "track_reached": sharpe.get("track_reached"),
        "ambiguous_share": stats["ambiguous_bars"] / run.trades if run.trades and "ambiguous_bars" in stats else None,
        "profit_against": stats.get("profit_against"),
        "profit_favour": stats.get("profit_favour"),
        "ruined": bool(stats.get("ruined", False)),
        "audit_passed": None if audit is None else bool(audit.result.get("passed")),
        "audit_id": None if audit is None else audit.id,
        "honesty_id": None if own is None else own.id,
        "pbo": (overfit.get("pbo") or {}).get("probability"),
        "spa": (overfit.get("spa") or {}).get("consistent"),
        "entries": ((own.result.get("entries") if own else None) or {}).get("p_value"),
        "resampled_loss": (drawn.get("resample") or {}).get("loss_probability"),
        "ruin": (drawn.get("resample") or {}).get("ruin_probability"),
        "walk_id": None if walk is None else walk.id,
        "walk_return": (walked.get("out_of_sample") or {}).get("total_return"),
        "walk_efficiency": walked.get("efficiency"),
        "dear_profit": (drawn.get("costs") or {}).get("net_profit"),
    }


def leaderboard(home: Path, limit: int = 200) -> list[Document]:
    """The newest runs, the most credible first: the Sharpe ratio beside what is left of it.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    limit : int
        How many of the newest runs.

    Returns
    -------
    list of dict
        ``run_id name source strategy symbol timeframe trades total_return max_drawdown``, ``sharpe`` and ``sharpe_error`` (annual), ``psr``,
        ``dsr`` (effective number of tries) and ``dsr_raw``, ``sharpe_by_luck`` (annual, that of the best of so many tries without any edge),
        ``pbo`` (None where no examination of its strategy on these bars knows it), ``tried`` and ``tried_effective``, ``audit_passed``
        (None where there was no audit), ``created_ms``. By ``dsr``, then by ``sharpe``; runs without a ``dsr`` last.
    """
    from components.backtest.honesty.luck import luck_of
    from components.backtest.honesty.trials import TrialCount, count_trials

    store = BacktestStore.open(home)
    counted: dict[str, TrialCount] = {}
    rows = []
    try:
        examined, audits = _done(store, "honesty"), _done(store, "audit")
        for run in store.runs(limit):
            if run.strategy not in counted:
                counted[run.strategy] = count_trials(store.home, run.strategy)
            try:
                luck = luck_of(store, run, counted[run.strategy])
            except NotFound:
                luck = {"sharpe": None, "dsr": None}
            sharpe, dsr = luck["sharpe"] or {}, luck["dsr"] or {}
            _, shared = _examinations(store, run, examined)
            audit = _audit_of(store, run, audits)
            rows.append(
                {name: getattr(run, name) for name in ("name", "source", "strategy", "symbol", "timeframe", "trades", "total_return", "max_drawdown")}
                | {
                    "run_id": run.id,
                    "sharpe": run.sharpe,
                    "sharpe_error": sharpe.get("error"),
                    "psr": sharpe.get("psr"),
                    "dsr": dsr.get("effective"),
                    "dsr_raw": dsr.get("raw"),
                    "sharpe_by_luck": dsr.get("mark_effective"),
                    "pbo": ((shared.result if shared else {}).get("pbo") or {}).get("probability"),
                    "tried": counted[run.strategy].raw,
                    "tried_effective": counted[run.strategy].effective,
                    "audit_passed": None if audit is None else bool(audit.result.get("passed")),
                    "created_ms": run.created_ms,
                }
            )
    finally:
        store.close()
    return sorted(rows, key=lambda row: (row["dsr"] is None, -(row["dsr"] or 0.0), -row["sharpe"]))


def _judged(run: StoredRun, f: Document) -> list[tuple[Severity, str]]:
    """What the numbers say against a run, in the order in which people should hear it."""
    said: list[tuple[Severity, str]] = []
    if run.trades and run.total_return <= 0:
        said.append(("fatal", f"loses money: {run.total_return:+.1%} over {f['days']} days and {run.trades:,} trades"))
    if f["ruined"]:
        said.append(("fatal", "the account was ruined on the way"))
    if f["audit_passed"] is False:
        said.append(("fatal", f"looks ahead: the look-ahead audit {f['audit_id']} failed"))

    def bounded(name: str, words: str) -> None:
        if f[name] is not None:
            said.append((THRESHOLDS[name].severity(f[name]), words))

    bounded("trades", f"only {run.trades:,} trades" if run.trades else "made no trade")
    bounded("days", f"only {f['days']} trading days")
    if f["dsr"] is None:
        said.append(("fatal", "its daily returns are too few to say anything"))
    else:
        tried = f"after {f['tried']:,} tries ({f['tried_effective']:.0f} effective): luck alone shows a Sharpe ratio of {f['sharpe_by_luck']:.2f}"
        alone = f"after one try: {_percent(1.0 - f['dsr'])} chance of no edge"
        bounded("dsr", f"deflated Sharpe ratio {f['dsr']:.2f} {tried if f['tried'] > 1 else alone}")
    if f["track_reached"] is False and run.total_return > 0:
        needed = f["min_track_days"]
        said.append(("doubt", f"{f['days']} days are fewer than the {needed:,.0f} that its Sharpe ratio needs" if needed else "no length would do"))
    bounded("pbo", f"{_percent(f['pbo'])} chance that the choice of its parameters is overfitted")
    if f["walk_return"] is not None and f["walk_return"] <= 0:
        said.append(("doubt", f"its walk-forward loses: {f['walk_return']:+.1%} out of sample"))
    else:
        bounded("walk_efficiency", f"its walk-forward earns {_percent(f['walk_efficiency'])} out of sample of what it had earned in sample")
    bounded("ambiguous_share", f"{_percent(f['ambiguous_share'])} of its trades are ambiguous inside a bar")
    against, favour = f["profit_against"], f["profit_favour"]
    if against is not None and favour is not None and against > 0 and favour - against > against:
        said.append(("doubt", f"its profit is {against:,.0f} or {favour:,.0f} by how ambiguous bars are resolved"))
    if f["audit_passed"] is None:
        where = "it was made elsewhere, its strategy is not here to be audited" if run.source != "sequence" else "run the look-ahead audit"
        said.append(("doubt", f"not audited for look-ahead: {where}"))
    if run.policy == "reference":
        said.append(("doubt", "run under the reference policy, which knows no spread and no costs"))
    bounded("resampled_loss", f"{_percent(f['resampled_loss'])} of its redrawn trade histories lose")
    bounded("ruin", f"{_percent(f['ruin'])} of its redrawn trade histories lose half of the account")
    if f["dear_profit"] is not None and f["dear_profit"] <= 0 < run.total_return:
        said.append(("doubt", f"dearer costs take the profit ({f['dear_profit']:,.0f} left)"))
    bounded("spa", f"the best of its sweep is luck with a chance of {_percent(f['spa'])}")
    bounded("entries", f"random entries do as well with a chance of {_percent(f['entries'])}")
    return [one for one in said if one[0] != "note"]


def _merits(f: Document) -> list[str]:
    """What a believable result rests on."""
    tried = "one try" if f["tried"] == 1 else f"{f['tried']:,} tries"
    said = [f"deflated Sharpe ratio {f['dsr']:.2f} after {tried}", f"{f['trades']:,} trades over {f['days']} days", "passed the look-ahead audit"]
    return said + ([f"overfitting {_percent(f['pbo'])}"] if f["pbo"] is not None else [])


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _done(store: BacktestStore, kind: str) -> list[Study]:
    return [study for study in store.studies.studies(kind, limit=RECENT_STUDIES) if study.state == "done"]


def _examinations(store: BacktestStore, run: StoredRun, known: list[Study] | None = None) -> tuple[Study | None, Study | None]:
    """The newest examination of the run, and the newest of its strategy on its bars that saw a sweep."""
    done = _done(store, "honesty") if known is None else known
    own = next((study for study in done if study.run_id == run.id), None)
    if own is not None and own.result.get("pbo"):
        return own, own
    same = [study for study in done if run.bar_set_id and (study.strategy, study.bar_set_id) == (run.strategy, run.bar_set_id)]
    return own, next((study for study in same if study.result.get("pbo")), own)


def _walk_of(store: BacktestStore, run: StoredRun) -> Study | None:
    """The newest walk-forward of the run's strategy on its bars."""
    same = (study for study in _done(store, "walkforward") if (study.strategy, study.bar_set_id) == (run.strategy, run.bar_set_id))
    return next(same, None) if run.bar_set_id else None


def _audit_of(store: BacktestStore, run: StoredRun, known: list[Study] | None = None) -> Study | None:
    """The newest audit of the run, or of the same strategy, parameters, model and bars; of several legs the worst, once each has one."""
    audits = _done(store, "audit") if known is None else known
    own = next((study for study in audits if study.run_id == run.id), None)
    legs = run.params.get("legs")
    if own is not None or not isinstance(legs, list):
        return own or _audit_like(audits, run.strategy, run.bar_set_id, run.model_id, run.params)
    found = [_audit_like(audits, leg["strategy"], leg["bar_set_id"], leg["model_id"], leg["params"]) for leg in legs]
    failed = next((study for study in found if study is not None and not study.result.get("passed")), None)
    return failed or (found[0] if all(study is not None for study in found) else None)


def _audit_like(audits: list[Study], name: str, bar_set_id: str | None, model_id: str | None, params: Document) -> Study | None:
    for study in audits:
        asked = study.spec.get("backtest") or {}
        same = bar_set_id is not None and (study.strategy, study.bar_set_id, asked.get("model_id")) == (name, bar_set_id, model_id)
        if same and _with_defaults(name, asked.get("params")) == params:
            return study
    return None


def _with_defaults(name: str, params: Document | None) -> Document | None:
    from components.fx import BadInput
    from components.strategy import strategy

    try:
        return dict(strategy(name).parse(params or {}).model_dump(mode="json"))
    except BadInput:
        return None


def _diagnosed(home: Path, run_id: str) -> Sequence[Finding]:
    """Findings of the diagnosis; none where the run's files are gone."""
    from components.backtest.diagnosis import diagnose, evidence_of

    try:
        return diagnose(evidence_of(home, run_id))
    except NotFound:
        return ()

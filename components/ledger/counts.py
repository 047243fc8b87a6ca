"""How often a hypothesis was tried, counted by the database."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import sqlalchemy as sa

from components.ledger.store import TrialLedger, TrialState, _trials

TRADING_DAYS = 252.0
FEWEST_DAYS = 20


@dataclass(frozen=True)
class Tally:
    """Trials of one hypothesis family, across code versions and datasets.

    Parameters
    ----------
    family : str
    raw : int
        All of them, failed and discarded ones too.
    distinct : int
        Those that differ: one for each series of returns, and of trials without returns one for each set of parameters on a dataset.
    states, kinds : dict of str to int
        How many ended how, and of which kind.
    code_versions, datasets : int
        How many different ones they cover.
    sharpes : int
        How many of the distinct trials have a Sharpe ratio.
    sharpe_mean, sharpe_variance : float or None
        Of those, annualised; the variance with n − 1. None where there are too few.
    t_variance : float or None
        Variance of their t-statistics, Sharpe ratio per day × √days, over those with at least 20 days: one scale for trials of any length, on
        which trials without any edge that have nothing in common have a variance of 1.
    newest : int
        Number of the newest of them; it changes when another is noted.
    """

    family: str
    raw: int
    distinct: int
    states: dict[str, int]
    kinds: dict[str, int]
    code_versions: int
    datasets: int
    sharpes: int
    sharpe_mean: float | None
    sharpe_variance: float | None
    t_variance: float | None
    newest: int


@dataclass(frozen=True)
class TrialGroup:
    """Trials of one family that are of one kind and ended in the same way.

    Parameters
    ----------
    family, kind : str
    state : {'done', 'failed', 'discarded'}
    trials : int
        How many there are.
    """

    family: str
    kind: str
    state: TrialState
    trials: int


def groups(ledger: TrialLedger) -> list[TrialGroup]:
    """All trials of the ledger by family, kind and state, in this order; together as many as its `count`."""
    t = _trials.c
    columns = (t.family, t.kind, t.state)
    with ledger.database.read() as connection:
        return [TrialGroup(*row) for row in connection.execute(sa.select(*columns, sa.func.count()).group_by(*columns).order_by(*columns))]


def tally(ledger: TrialLedger, family: str) -> Tally:
    """Count the trials of a family; one without any has a `raw` of 0."""
    t = _trials.c
    of_family = t.family == family
    metrics = sa.case((sa.func.json_valid(t.metrics) == 1, t.metrics), else_="{}")
    sharpe, days = (sa.func.avg(sa.cast(sa.func.json_extract(metrics, f"$.{name}"), sa.Float)) for name in ("sharpe", "days"))
    # A trial without returns (a failed one) is told from others by what was asked of it.
    identity = sa.func.coalesce(t.returns_digest, t.params + "|" + sa.func.coalesce(t.dataset_id, ""))
    one_each = sa.select(sharpe, days).where(of_family).group_by(identity)
    counts = sa.select(sa.func.count(), sa.func.count(t.code_version.distinct()), sa.func.count(t.dataset_id.distinct()), sa.func.max(t.number))
    with ledger.database.read() as connection:
        raw, versions, datasets, newest = connection.execute(counts.where(of_family)).one()
        states = _grouped(connection, t.state, of_family)
        kinds = _grouped(connection, t.kind, of_family)
        rows = [tuple(row) for row in connection.execute(one_each)]
    sharpes = [value for value, _ in rows if value is not None]
    statistic = [
        value * math.sqrt(length / TRADING_DAYS) for value, length in rows if value is not None and length is not None and length >= FEWEST_DAYS
    ]
    return Tally(
        family,
        int(raw),
        len(rows),
        states,
        kinds,
        int(versions),
        int(datasets),
        len(sharpes),
        statistics.fmean(sharpes) if sharpes else None,
        _variance(sharpes),
        _variance(statistic),
        int(newest or 0),
    )


def _variance(values: list[float]) -> float | None:
    """Variance with n − 1 about the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _grouped(connection: sa.Connection, column: sa.ColumnElement[str], condition: sa.ColumnElement[bool]) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(condition).group_by(column)
    return {str(name): int(count) for name, count in connection.execute(query)}

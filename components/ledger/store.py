"""The ledger's store, `trials.db`: append-only, held by triggers in the file itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from components.base import Database, create_all, insert_or_ignore, now_ms
from components.fx import BadInput

TrialState = Literal["done", "failed", "discarded"]
TRIAL_STATES: tuple[TrialState, ...] = ("done", "failed", "discarded")

_metadata = sa.MetaData()
_trials = sa.Table(
    "trials",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("family", sa.Text, nullable=False, index=True),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("dataset_id", sa.Text),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("returns_digest", sa.Text),
    sa.Column("created_ms", sa.Integer, nullable=False),
)


def _forbid_changes(connection: sa.Connection) -> None:
    for change in ("UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER trials_no_{change.lower()} BEFORE {change} ON trials BEGIN SELECT RAISE(ABORT, 'the trial ledger is append-only'); END"
        )


@dataclass(frozen=True)
class Trial:
    """One try.

    Parameters
    ----------
    id : str
    family : str
        The hypothesis that was tried; trials are counted per family, across code versions and datasets.
    strategy : str
        What was tried: a strategy's or a model family's name.
    params : dict
    dataset_id : str or None
        The bars or dataset it was tried on.
    code_version : str
        As `code_version` gives it.
    kind : str
        For example ``"backtest"`` or ``"cv_fold"``.
    state : {'done', 'failed', 'discarded'}
    metrics : dict
        What came out.
    returns_digest : str or None
        SHA-256 of the series of returns, to see trials that are one and the same.
    created_ms : int
        Epoch milliseconds UTC.
    """

    id: str
    family: str
    strategy: str
    params: dict[str, Any]
    dataset_id: str | None
    code_version: str
    kind: str
    state: TrialState
    metrics: dict[str, Any]
    returns_digest: str | None
    created_ms: int


Trials = list[Trial]


class TrialLedger:
    """The ledger. Any number of processes may hold one of these on the same file."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> TrialLedger:
        """The ledger in the folder `home`, made if it is missing."""
        return cls(Database(Path(home) / "trials.db", (create_all(_metadata), _forbid_changes)))

    def append(
        self,
        family: str,
        strategy: str,
        params: Mapping[str, Any],
        dataset_id: str | None,
        code_version: str,
        kind: str,
        state: TrialState,
        metrics: Mapping[str, Any],
        returns_digest: str | None = None,
        *,
        trial_id: str | None = None,
    ) -> str:
        """Write one trial down; it is on disk when this returns.

        Parameters
        ----------
        family, strategy, params, dataset_id, code_version, kind, state, metrics, returns_digest
            As in `Trial`.
        trial_id : str, optional
            The sender's own id: a trial that is there already is not written again, so that a job that is retried counts once.

        Returns
        -------
        str
            The trial's id.

        Raises
        ------
        BadInput
            If a name is empty, the state unknown, or `params` or `metrics` is not JSON.
        """
        row = _row(family, strategy, params, dataset_id, code_version, kind, state, metrics, returns_digest, trial_id)
        self._insert([row])
        return str(row["id"])

    def append_many(self, trials: Iterable[Mapping[str, Any]]) -> int:
        """Write many trials down in one transaction: all of them are on disk when this returns, or none is.

        Parameters
        ----------
        trials : iterable of mapping
            For each the parameters of `append` by name; `returns_digest` and `trial_id` may be left out. A `trial_id` that is there already is
            left as it is, so that work that is resumed counts once.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        BadInput
            If a trial lacks a field, has an unknown one, or cannot be written as in `append`; then none is written.
        """
        rows = []
        for place, trial in enumerate(trials):
            wrong = next((name for name in (*_GIVEN, *trial) if (name in _GIVEN) != (name in trial) and name not in _MAY_BE_GIVEN), None)
            if wrong is not None:
                raise BadInput(f"trials.{place}.{wrong}", "is missing" if wrong in _GIVEN else f"is unknown; a trial has {', '.join(_GIVEN)}")
            rows.append(_row(*(trial[name] for name in _GIVEN), *(trial.get(name) for name in _MAY_BE_GIVEN)))
        return self._insert(rows)

    def list(self, family: str | None = None, limit: int = 100, state: TrialState | None = None) -> Trials:
        """The newest trials first, all of them or those of one family, in any state or in one."""
        query = sa.select(_trials).order_by(_trials.c.number.desc()).limit(limit)
        if state is not None:
            query = query.where(_trials.c.state == state)
        with self.database.read() as connection:
            return [_trial(row) for row in connection.execute(_of(query, family))]

    def count(self, family: str | None = None) -> int:
        """How many tries were made, whatever came of them."""
        with self.database.read() as connection:
            return int(connection.execute(_of(sa.select(sa.func.count()).select_from(_trials), family)).scalar_one())

    def close(self) -> None:
        """Close this process's connections."""
        self.database.close()

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> int:
        if not rows:
            return 0
        with self.database.write() as connection:
            return insert_or_ignore(connection, _trials, rows)


_GIVEN = ("family", "strategy", "params", "dataset_id", "code_version", "kind", "state", "metrics")
_MAY_BE_GIVEN = ("returns_digest", "trial_id")


def _row(
    family: str,
    strategy: str,
    params: Mapping[str, Any],
    dataset_id: str | None,
    code_version: str,
    kind: str,
    state: str,
    metrics: Mapping[str, Any],
    returns_digest: str | None,
    trial_id: str | None,
) -> dict[str, Any]:
    """A trial as its table holds it; `BadInput` where it cannot be counted."""
    for name, value in {"family": family, "strategy": strategy, "code_version": code_version, "kind": kind}.items():
        if not value:
            raise BadInput(name, "is empty; a trial without it cannot be counted")
    if state not in TRIAL_STATES:
        raise BadInput("state", f"{state!r} is unknown; use one of {', '.join(TRIAL_STATES)}")
    now = now_ms()
    return {
        "id": trial_id or f"{now:012x}{secrets.token_hex(5)}",
        "family": family,
        "strategy": strategy,
        "params": _text("params", params),
        "dataset_id": dataset_id,
        "code_version": code_version,
        "kind": kind,
        "state": state,
        "metrics": _text("metrics", metrics),
        "returns_digest": returns_digest,
        "created_ms": now,
    }


def _of(query: sa.Select[Any], family: str | None) -> sa.Select[Any]:
    return query if family is None else query.where(_trials.c.family == family)


def _trial(row: sa.Row[Any]) -> Trial:
    values = dict(row._mapping)
    del values["number"]
    return Trial(**{**values, "params": json.loads(values["params"]), "metrics": json.loads(values["metrics"])})


def _text(field: str, document: Mapping[str, Any]) -> str:
    if not isinstance(document, Mapping):
        raise BadInput(field, f"{type(document).__name__} is not a mapping")
    try:
        return json.dumps(dict(document), default=_plain, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise BadInput(field, f"cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """A numpy number as the plain one it is."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")

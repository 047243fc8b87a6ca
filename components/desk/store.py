"""The store ``desk.db``: deployments, the trading state's journal, and every bar that was decided, as it was seen."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from components.base import Database, create_all, insert_or_ignore, now_ms
from components.bridge import Mailbox
from components.desk.records import DecidedBar, Deployment, DeploymentSpec, StateChange, TradingState
from components.fx import BadInput, NotFound, SignalState, Timeframe, instrument
from components.strategy import strategy

_tables = sa.MetaData()
_deployments = sa.Table(
    "deployments",
    _tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_ms", sa.Integer, nullable=False),
    sa.Index("deployments_by_account", "account_id", "symbol"),
)
_journal = sa.Table(
    "desk_journal",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at_ms", sa.Integer, nullable=False),
)
_bars = sa.Table(
    "decided_bars",
    _tables,
    sa.Column("deployment_id", sa.Text, sa.ForeignKey("deployments.id"), primary_key=True),
    sa.Column("open_ms", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Float, nullable=False) for name in ("open", "high", "low", "close", "volume", "spread_points")),
    sa.Column("last_seq", sa.Integer, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("issued", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("decided_ms", sa.Integer, nullable=False),
)
_MIGRATIONS = (create_all(_tables),)
_PLATFORM = "platform"


class DeskStore:
    """Deployments and what became of their bars."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, home: Path) -> DeskStore:
        """The store in the folder `home`."""
        return cls(Database(home / "desk.db", _MIGRATIONS))

    def close(self) -> None:
        """Close every connection of this process."""
        self.database.close()

    def create(self, spec: DeploymentSpec) -> Deployment:
        """A new deployment, disarmed.

        Raises
        ------
        BadInput
            If the symbol, the timeframe, the strategy or a parameter is unknown or out of bounds, or a needed model is missing.
        """
        instrument(spec.symbol)
        Timeframe.named(spec.timeframe)
        chosen = strategy(spec.strategy)
        params = chosen.parse(spec.params)
        if chosen.needs_model and not spec.model_id:
            raise BadInput("model_id", f"strategy {spec.strategy!r} trades a model's probabilities; name a model")
        spec = spec.model_copy(update={"params": params.model_dump(), "timeframe": spec.timeframe.upper()})
        deployment = Deployment("d" + secrets.token_hex(4), spec, "disarmed", "", now_ms())
        row = {
            "id": deployment.id,
            "account_id": spec.account_id,
            "symbol": spec.symbol,
            "spec": orjson.dumps(spec.model_dump()),
            "state": "disarmed",
        }
        with self.database.write() as connection:
            connection.execute(_deployments.insert().values(**row, note="", created_ms=deployment.created_ms))
            _write_journal(connection, deployment.id, "created", "")
        return deployment

    def deployments(self) -> list[Deployment]:
        """Every deployment, oldest first."""
        with self.database.read() as connection:
            return [_deployment_of(row) for row in connection.execute(_deployments.select().order_by(_deployments.c.created_ms, _deployments.c.id))]

    def deployment(self, deployment_id: str) -> Deployment:
        """One deployment.

        Raises
        ------
        NotFound
            If there is none with this id.
        """
        with self.database.read() as connection:
            row = connection.execute(_deployments.select().filter_by(id=deployment_id)).one_or_none()
        if row is None:
            raise NotFound(f"deployment: there is none called {deployment_id!r}; `sequence deploy list` shows them")
        return _deployment_of(row)

    def arm(self, deployment_id: str) -> Deployment:
        """Let a deployment issue signals."""
        self.deployment(deployment_id)
        with self.database.write() as connection:
            self._set_state(connection, deployment_id, "armed", "")
        return self.deployment(deployment_id)

    def disarm(self, deployment_id: str, note: str = "") -> Deployment:
        """Stop a deployment from issuing signals. Its open positions stay as they are, with their stops and targets."""
        self.deployment(deployment_id)
        with self.database.write() as connection:
            self._set_state(connection, deployment_id, "disarmed", note)
        return self.deployment(deployment_id)

    def halt(self, reason: str) -> None:
        """Issue nothing any more, on any account, until a person resumes, and take back what no terminal has fetched yet.

        Open positions stay as they are, with their stops and targets at the broker; signals that a terminal has fetched are on their way.
        """
        self._change(TradingState.HALTED, reason)
        self.withdraw_pending(f"trading was halted: {reason}")

    def withdraw_pending(self, reason: str) -> int:
        """Cancel every signal that no terminal has fetched yet; how many that were."""
        mailbox = Mailbox.open(self.database.path.parent)
        try:
            pending = mailbox.signals(state=SignalState.PENDING, limit=10_000)
            return sum(mailbox.withdraw(stored.signal.id, reason) for stored in pending)
        finally:
            mailbox.close()

    def reduce(self, reason: str) -> None:
        """Only close, cancel and move stops, until a person resumes."""
        self._change(TradingState.REDUCING, reason)

    def resume(self, reason: str = "") -> None:
        """Trade again."""
        self._change(TradingState.ACTIVE, reason)

    def trading_state(self) -> str:
        """``ACTIVE``, ``REDUCING`` or ``HALTED``."""
        history = self.state_history(limit=1)
        return history[0].state.value if history else TradingState.ACTIVE.value

    def state_history(self, limit: int = 100) -> list[StateChange]:
        """Changes of the trading state, newest first."""
        query = _journal.select().filter_by(subject=_PLATFORM).order_by(_journal.c.number.desc()).limit(limit)
        with self.database.read() as connection:
            return [StateChange(row.number, TradingState(row.state), row.reason, row.at_ms) for row in connection.execute(query)]

    def add_bar(self, bar: DecidedBar) -> bool:
        """Record a bar as dealt with; False where it was recorded before."""
        with self.database.write() as connection:
            return insert_or_ignore(connection, _bars, [asdict(bar)]) == 1

    def bars(self, deployment_id: str) -> list[DecidedBar]:
        """Every bar that a deployment dealt with, oldest first."""
        query = _bars.select().filter_by(deployment_id=deployment_id).order_by(_bars.c.open_ms)
        with self.database.read() as connection:
            return [DecidedBar(**row._mapping) for row in connection.execute(query)]

    def last_bar(self, deployment_id: str) -> DecidedBar | None:
        """The bar that a deployment dealt with last."""
        query = _bars.select().filter_by(deployment_id=deployment_id).order_by(_bars.c.open_ms.desc()).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else DecidedBar(**row._mapping)

    def _change(self, state: TradingState, reason: str) -> None:
        with self.database.write() as connection:
            _write_journal(connection, _PLATFORM, state.value, reason)

    def _set_state(self, connection: sa.Connection, deployment_id: str, state: str, note: str) -> None:
        connection.execute(_deployments.update().filter_by(id=deployment_id).values(state=state, note=note))
        _write_journal(connection, deployment_id, state, note)


def _write_journal(connection: sa.Connection, subject: str, state: str, reason: str) -> None:
    connection.execute(_journal.insert().values(subject=subject, state=state, reason=reason, at_ms=now_ms()))


def _deployment_of(row: sa.Row[Any]) -> Deployment:
    return Deployment(row.id, DeploymentSpec.model_validate(orjson.loads(row.spec)), row.state, row.note, row.created_ms)

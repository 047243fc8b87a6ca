"""The store ``desk.db``: deployments, the trading state's journal, and every bar that was decided, as it was seen."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from components.base import Database, create_all, insert_or_ignore, now_ms
from components.bridge import Mailbox
from components.bridge.issue import issue_signals
from components.desk.mirror import cancellations_of
from components.desk.records import DecidedBar, Deployment, DeploymentSpec, StateChange, TradingState
from components.fx import BadInput, NotFound, Refused, Timeframe, instrument
from components.models import ModelStore
from components.pipeline import PipelineStore, refuse_quarantined_origins
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

    def __init__(self, database: Database, mailbox: Mailbox) -> None:
        self.database = database
        self._mailbox = mailbox

    @classmethod
    def open(cls, home: Path) -> DeskStore:
        """The store in the folder `home`."""
        return cls(Database(home / "desk.db", _MIGRATIONS), Mailbox.open(home))

    def close(self) -> None:
        """Close every connection of this process."""
        self._mailbox.close()
        self.database.close()

    def create(self, spec: DeploymentSpec) -> Deployment:
        """A new deployment, disarmed.

        Raises
        ------
        BadInput
            If the symbol, the timeframe, the strategy or a parameter is unknown or out of bounds, a needed model is missing, or the history
            is of another symbol or timeframe.
        NotFound
            If there is no such bar set.
        """
        instrument(spec.symbol)
        Timeframe.named(spec.timeframe)
        chosen = strategy(spec.strategy)
        params = chosen.parse(spec.params)
        if chosen.needs_model and not spec.model_id:
            raise BadInput("model_id", f"strategy {spec.strategy!r} trades a model's probabilities; name a model")
        self._check_history(spec)
        self._check_model(spec)
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

    def archive(self, deployment_id: str) -> None:
        """Put a disarmed deployment away; its journals stay.

        Raises
        ------
        Refused
            ``still_armed`` if it may still trade.
        """
        if self.deployment(deployment_id).state == "armed":
            raise Refused("still_armed", f"deployment {deployment_id} is armed; disarm it before it is archived")
        self._set_state(deployment_id, "archived", "")

    def _check_history(self, spec: DeploymentSpec) -> None:
        store = PipelineStore.open(self.database.path.parent)
        try:
            bars = store.bar_set(spec.bar_set_id)
            if (bars.symbol, bars.timeframe) != (spec.symbol, spec.timeframe.upper()):
                raise BadInput(
                    "bar_set_id", f"{bars.id} holds {bars.symbol} {bars.timeframe}, the deployment trades {spec.symbol} {spec.timeframe.upper()}"
                )
            refuse_quarantined_origins(store, [bars])
        finally:
            store.close()

    def _check_model(self, spec: DeploymentSpec) -> None:
        if spec.model_id is None:
            return
        store = ModelStore.open(self.database.path.parent)
        try:
            model = store.get(spec.model_id)
        finally:
            store.close()
        model.require_for(spec.symbol, spec.timeframe.upper())

    def deployments(self) -> list[Deployment]:
        """Every deployment that is not archived, oldest first; one that this version cannot read stands there disarmed, with the reason."""
        with self.database.read() as connection:
            query = _deployments.select().where(_deployments.c.state != "archived").order_by(_deployments.c.created_ms, _deployments.c.id)
            return [_deployment_of(row) for row in connection.execute(query)]

    def armed_ids(self) -> set[str]:
        """Ids of the deployments that are armed."""
        with self.database.read() as connection:
            return set(connection.execute(sa.select(_deployments.c.id).filter_by(state="armed")).scalars())

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
        self._set_state(deployment_id, "armed", "")
        self._mailbox.set_gate(deployment_id, "ARMED", "armed")
        return self.deployment(deployment_id)

    def disarm(self, deployment_id: str, note: str = "") -> Deployment:
        """Stop a deployment from issuing signals; take back its unfetched entries and cancel its working ones.

        Its open positions stay as they are, with their stops and targets.
        """
        chosen = self.deployment(deployment_id)
        self._mailbox.set_gate(deployment_id, "DISARMED", note or "disarmed")
        self._set_state(deployment_id, "disarmed", note)
        self._cancel_entries([chosen], note or "the deployment was disarmed")
        return self.deployment(deployment_id)

    def halt(self, reason: str) -> None:
        """Issue nothing any more, on any account, until a person resumes; take back what no terminal has fetched, cancel working entries.

        Open positions stay as they are, with their stops and targets at the broker; signals that a terminal has fetched are on their way.
        """
        self._change(TradingState.HALTED, reason)

    def reduce(self, reason: str) -> None:
        """Only close, cancel and move stops, until a person resumes; unfetched and working entries are taken back."""
        self._change(TradingState.REDUCING, reason)

    def resume(self, reason: str = "") -> None:
        """Trade again."""
        self._change(TradingState.ACTIVE, reason)

    def trading_state(self) -> str:
        """``ACTIVE``, ``REDUCING`` or ``HALTED``, as the mailbox enforces it."""
        return self._mailbox.gate(_PLATFORM) or TradingState.ACTIVE.value

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
        # The gate first: it is what stands between a decision and a signal.
        self._mailbox.set_gate(_PLATFORM, state.value, reason)
        with self.database.write() as connection:
            _write_journal(connection, _PLATFORM, state.value, reason)
        if state is not TradingState.ACTIVE:
            self._cancel_entries(self.deployments(), f"{state.value}: {reason}")

    def _cancel_entries(self, chosen: Sequence[Deployment], reason: str) -> None:
        for deployment in chosen:
            known = self._mailbox.book(deployment.account_id, deployment.symbol, deployment.id)
            issue_signals(self._mailbox, cancellations_of(known, deployment, now_ms(), reason), {"by": "person", "reason": reason})

    def _set_state(self, deployment_id: str, state: str, note: str) -> None:
        with self.database.write() as connection:
            connection.execute(_deployments.update().filter_by(id=deployment_id).values(state=state, note=note))
            _write_journal(connection, deployment_id, state, note)


def _write_journal(connection: sa.Connection, subject: str, state: str, reason: str) -> None:
    connection.execute(_journal.insert().values(subject=subject, state=state, reason=reason, at_ms=now_ms()))


def _deployment_of(row: sa.Row[Any]) -> Deployment:
    try:
        return Deployment(row.id, DeploymentSpec.model_validate(orjson.loads(row.spec)), row.state, row.note, row.created_ms)
    except ValueError as error:
        # Written by another version: one such row must not keep the others from trading.
        spec = DeploymentSpec.model_construct(
            account_id=row.account_id, symbol=row.symbol, timeframe="H1", strategy="unreadable", bar_set_id="", params={}
        )
        return Deployment(row.id, spec, "disarmed", f"this version cannot read it: {error}", row.created_ms)

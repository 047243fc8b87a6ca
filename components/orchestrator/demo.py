"""The simulated terminals: one account each, replaying the bars that its deployment left for live trading.

Demo accounts are replayed in rounds. When every account has come to the end of its bars, the next start of the demo opens new accounts with
the same deployments, so that there is always something to watch; the accounts of earlier rounds stay as they are.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from components.base import Settings, get_log
from components.bridge import ApiClient, load_or_make_key
from components.desk import Deployment, DeskStore
from components.fx import AccountSpec, NotFound, PlatformError, Refused, Unavailable, instrument, to_ms
from components.pipeline import PipelineStore
from components.terminal import SimulatedTerminal, TickPath, ticks_of_bars

if TYPE_CHECKING:
    from pandas import DataFrame

DEMO_ACCOUNT = re.compile(r"demo-(\d+)(?:-round-(\d+))?")
DEMO_BARS_PER_S = 2.0
STEP_POINTS = 20.0
RETRY_S = 0.5
LEAVE_S = 1.5
Show = Callable[[str, int, int], None]

log = get_log("orchestrator")


@dataclass(frozen=True)
class Pace:
    """How fast a replay goes.

    In lockstep the terminal waits at every bar until the desk has decided, so that nothing comes too late however slow the machine is;
    `bars_per_s` then only slows it down for the eye. Without lockstep `bars_per_s` is needed, and delays are what they are.
    """

    bars_per_s: float | None = None
    lockstep: bool = True


@dataclass(frozen=True)
class Replayed:
    """How far an account's replay is: `ticks` posted of `ticks_total`; `error` says why it ended early, else it is empty."""

    account_id: str
    deployment_id: str
    ticks: int
    ticks_total: int
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the end of the bars was reached."""
        return self.ticks >= self.ticks_total


def history_until(home: Path, bar_set_id: str, replay_bars: int) -> int:
    """The instant (epoch milliseconds UTC) from which on the last `replay_bars` bars of a bar set are left for live trading."""
    store = PipelineStore.open(home)
    try:
        bars = store.load_bars(bar_set_id)
    finally:
        store.close()
    return to_ms(bars.index[-min(replay_bars, len(bars) - 1)])


def run_terminals(settings: Settings, accounts: Sequence[str], pace: Pace, stop: threading.Event, show: Show = lambda *_: None) -> list[Replayed]:
    """Replay every account until its bars are over or `stop` is set.

    Parameters
    ----------
    settings : Settings
        Home, and the address of the API.
    accounts : sequence of str
        Accounts that have a deployment.
    pace : Pace
        How fast, and whether the desk is waited for.
    stop : Event
        Ends the replay between two bars.
    show : callable
        Told (account, bars done, bars in all), from several threads.

    Returns
    -------
    list of Replayed
        One for each account.

    Raises
    ------
    NotFound
        If an account has no deployment.
    Refused
        If an account's deployments trade several symbols, which a simulated terminal does not do yet.
    """
    replays = [_Replay(settings, _deployment_of(settings.home, account), pace, stop, show) for account in accounts]
    threads = [threading.Thread(target=replay.run, name=replay.deployment.account_id, daemon=True) for replay in replays]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not stop.wait(0.1):
        continue
    for thread in threads:
        # A terminal that waits for an API which is stopping too would wait long; it goes on from its own store at the next start.
        thread.join(LEAVE_S / len(threads))
    return [replay.state() for replay in replays]


def demo_accounts(settings: Settings) -> list[str]:
    """The accounts of the demo's newest round; where that is over, a new round is begun first.

    Raises
    ------
    NotFound
        If there are no demo deployments.
    Refused
        As `run_terminals`.
    """
    newest = _newest_round(settings.home)
    if not newest:
        raise NotFound("there are no demo deployments; sequence first-data makes them")
    replays = [_Replay(settings, _deployment_of(settings.home, account), Pace(), threading.Event(), lambda *_: None) for account in _accounts(newest)]
    if all(replay.state().is_over for replay in replays):
        newest = _begin_round(settings.home, newest)
    return _accounts(newest)


class _Replay:
    """One account's terminal, built anew from its own memory whenever the platform could not be reached."""

    def __init__(self, settings: Settings, deployment: Deployment, pace: Pace, stop: threading.Event, show: Show) -> None:
        self.settings = settings
        self.deployment = deployment
        self.pace = pace
        self.stop = stop
        self.show = show
        self.path = _live_path(settings.home, deployment)
        self.terminal = self._new_terminal()
        self.error = ""

    def run(self) -> None:
        """Play to the end; a platform that does not answer is waited for."""
        account = self.deployment.account_id
        while not self.stop.is_set():
            try:
                self.terminal.connect(self.path)
                self.terminal.replay(self.path, self.stop, bars_per_s=None if self.pace.lockstep else self.pace.bars_per_s, progress=self._bar_done)
                return
            except Unavailable as error:
                log.warning("the terminal waits for the platform", account=account, error=error.message)
                self.stop.wait(RETRY_S)
                self.terminal = self._new_terminal()
            except PlatformError as error:
                log.error("the terminal ended", account=account, error=error.message)
                self.error = error.message
                return
            except Exception as error:  # the thread's edge: the account must not look as if it had ended well
                log.exception("the terminal failed", account=account)
                self.error = f"{type(error).__name__}: {error}"
                return

    def _bar_done(self, done: int, bars: int) -> None:
        self.show(self.deployment.account_id, done, bars)
        if self.pace.lockstep and self.pace.bars_per_s is not None:
            self.stop.wait(1.0 / self.pace.bars_per_s)

    def state(self) -> Replayed:
        """How far it is."""
        return Replayed(self.deployment.account_id, self.deployment.id, self.terminal.next_tick, int(self.path.starts[-1]), self.error)

    def _new_terminal(self) -> SimulatedTerminal:
        client = ApiClient(self.settings.api_url, load_or_make_key(self.settings.home))
        return SimulatedTerminal(
            self.settings.home, client, self.deployment.account_id, AccountSpec(), instrument(self.deployment.symbol), self.deployment.spec.costs
        )


def _live_path(home: Path, deployment: Deployment) -> TickPath:
    store = PipelineStore.open(home)
    try:
        bars: DataFrame = store.load_bars(deployment.spec.bar_set_id)
    finally:
        store.close()
    live = bars[pd.DatetimeIndex(bars.index).as_unit("ms").asi8 >= deployment.spec.history_until_ms]
    return ticks_of_bars(
        live, instrument(deployment.symbol), deployment.timeframe, spread_points=deployment.spec.costs.spread_points, step_points=STEP_POINTS
    )


def _deployment_of(home: Path, account_id: str) -> Deployment:
    store = DeskStore.open(home)
    try:
        found = [deployment for deployment in store.deployments() if deployment.account_id == account_id]
    finally:
        store.close()
    if not found:
        raise NotFound(f"account {account_id!r} has no deployment; sequence deploy create makes one")
    played = _played(found)
    if len({(deployment.symbol, deployment.spec.bar_set_id, deployment.spec.history_until_ms) for deployment in played}) > 1:
        raise Refused(
            "several_replays",
            f"the armed deployments of account {account_id!r} differ in symbol or history and a simulated terminal replays one; disarm the others",
        )
    return played[0]


def _played(found: Sequence[Deployment]) -> list[Deployment]:
    """Those deployments of one account that its terminal plays for: the armed ones, or the account's first where none is armed."""
    return [deployment for deployment in found if deployment.state == "armed"] or list(found[:1])


def _newest_round(home: Path) -> list[Deployment]:
    store = DeskStore.open(home)
    try:
        found = [deployment for deployment in store.deployments() if _round_of(deployment.account_id) > 0]
    finally:
        store.close()
    last = max((_round_of(deployment.account_id) for deployment in found), default=0)
    newest = [deployment for deployment in found if _round_of(deployment.account_id) == last]
    return [deployment for account in _accounts(newest) for deployment in _played([one for one in newest if one.account_id == account])]


def _accounts(deployments: Sequence[Deployment]) -> list[str]:
    return list(dict.fromkeys(deployment.account_id for deployment in deployments))


def _begin_round(home: Path, over: Sequence[Deployment]) -> list[Deployment]:
    """New accounts with the deployments of a round that is over; those that a person had disarmed stay disarmed."""
    store = DeskStore.open(home)
    try:
        begun = []
        for deployment in over:
            match = DEMO_ACCOUNT.fullmatch(deployment.account_id)
            assert match is not None
            account = f"demo-{match[1]}-round-{_round_of(deployment.account_id) + 1}"
            new = store.create(deployment.spec.model_copy(update={"account_id": account}))
            if deployment.state == "armed":
                store.disarm(deployment.id, "its replay is over")
                store.arm(new.id)
            begun.append(new)
        return begun
    finally:
        store.close()


def _round_of(account_id: str) -> int:
    """Round of a demo account, from 1; 0 for any other account."""
    match = DEMO_ACCOUNT.fullmatch(account_id)
    return 0 if match is None else int(match[2] or 1)

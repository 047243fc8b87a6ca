"""System Matrix: the trading state, processes, accounts, ticks, jobs and positions at a glance, live."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import streamlit as st

from components.base import load_settings, now_ms
from components.bridge import Terminal
from components.desk import Deployment
from components.fx import Position, SignalState, instrument
from pages._shared import figures, queue, stores
from pages._shared.liveness import liveness_of
from pages._shared.parts import STATE_EVERY_S, STATE_MEANINGS, draw, kept_error, missing, page, state_line, table, tell_kept, told_errors
from pages._shared.text import age, number, plural, side_word, span, utc

LIVE_EVERY_S = 2.0
EQUITY_POINTS = 2_000
MOST_RUNS = 500
CHANGES = {
    "halt": (
        "HALT",
        ":material/front_hand:",
        "Issues nothing more, takes back unfetched signals and cancels working entry orders; open positions stay.",
    ),
    "reduce": ("REDUCE", ":material/trending_down:", "Opens nothing new; closing goes on."),
    "resume": ("RESUME", ":material/play_arrow:", "Trades again."),
}
STATE_AFTER = {"halt": "HALTED", "reduce": "REDUCING", "resume": "ACTIVE"}


def main() -> None:
    """The page."""
    with page("System Matrix", "what runs, what trades, what waits", shows_state=False):
        st.fragment(_trading_state, run_every=STATE_EVERY_S)()
        st.fragment(_live, run_every=LIVE_EVERY_S)()


def _trading_state() -> None:
    with told_errors():
        desk = stores.desk()
        state = desk.trading_state()
        history = desk.state_history(1)
        with st.container(border=True):
            words, reason = st.columns([5, 4], vertical_alignment="center", gap="medium")
            with words:
                since = f"since {utc(history[0].at_ms)} UTC{': ' + history[0].reason if history[0].reason else ''}" if history else "never changed"
                state_line(state, STATE_MEANINGS[state], since)
            reason.text_input("reason", placeholder="why (it is kept)", key="state_reason", label_visibility="collapsed")
            for place, (change, (label, icon, said)) in zip(st.columns(3, gap="medium"), CHANGES.items(), strict=True):
                is_there = state == STATE_AFTER[change]
                place.button(label, key=change, icon=icon, width="stretch", disabled=is_there, on_click=_change_state, args=(change,))
                place.caption(said)
            tell_kept("state")


def _change_state(change: str) -> None:
    """What a click on HALT, REDUCE or RESUME does; the reason is used once."""
    why = st.session_state.get("state_reason") or f"a person pressed {CHANGES[change][0]} on the dashboard"
    desk = stores.desk()
    with kept_error("state"):
        {"halt": desk.halt, "reduce": desk.reduce, "resume": desk.resume}[change](why)
        st.session_state["state_reason"] = ""


def _live() -> None:
    with told_errors():
        deployments = stores.desk().deployments()
        terminals = stores.mailbox().terminals()
        accounts = sorted({one.account_id for one in terminals} | {one.account_id for one in deployments})
        positions = [position for account in accounts for position in stores.mailbox().positions(account)]
        _counts(accounts, deployments, positions)
        _processes()
        _accounts(accounts, {one.account_id: one for one in terminals}, positions)
        _deployments(deployments)
        _jobs()
        _positions(positions)
        _stored()


def _counts(accounts: list[str], deployments: list[Deployment], positions: list[Position]) -> None:
    signals = stores.mailbox().counts()
    jobs = Counter(job.state for state in ("running", "queued") for job in stores.jobs().list(state))
    on_their_way = sum(count for state, count in signals.items() if not state.is_final and state not in (SignalState.UNKNOWN, SignalState.PLACED))
    armed = sum(one.state == "armed" for one in deployments)
    shown = st.columns(6)
    shown[0].metric("deployments armed", f"{armed} of {len(deployments)}", border=True)
    shown[1].metric("open positions", number(len(positions), 0), border=True)
    shown[2].metric("signals in flight", number(on_their_way, 0), border=True, help="pending, leased, acknowledged or partly filled")
    shown[3].metric(
        "signals unknown", number(signals[SignalState.UNKNOWN], 0), border=True, help="lost on the way; the terminal must reconcile before they count"
    )
    shown[4].metric("jobs run / wait", f"{jobs['running']} / {jobs['queued']}", border=True)
    received = sum(sum(stores.ticks().watermarks(account).values()) for account in accounts)
    shown[5].metric("ticks received", number(received, 0), border=True, help="sum of the newest tick numbers of every account and symbol")


def _processes() -> None:
    st.header("Processes", anchor=False)
    processes = stores.platform().processes()
    now = now_ms()
    if not any(process.is_live(now) for process in processes):
        gone = f" It was last seen at {utc(max(p.updated_ms for p in processes))} UTC." if processes else ""
        missing(f"No supervisor is running.{gone}", "Start the platform with ./start_platform.sh; this page itself needs no other process.")
    if processes:
        rows = [
            {
                "process": one.name,
                "state": one.state if one.is_live(now) else "not supervised",
                "healthy": "–" if one.state == "finished" else "yes" if one.healthy and one.is_live(now) else "no",
                "pid": str(one.pid or "–"),
                "up for": span(now - one.started_ms) if one.started_ms and one.pid and one.is_live(now) else "–",
                "restarts": one.restarts,
                "address": one.address or "–",
                "last end": one.last_exit or "–",
            }
            for one in processes
        ]
        table(rows, "processes", **{"last end": st.column_config.TextColumn(width="large")})


def _accounts(accounts: list[str], terminals: dict[str, Terminal], positions: list[Position]) -> None:
    st.header("Accounts and ticks", anchor=False)
    if not accounts:
        missing(
            "No terminal is connected and nothing is deployed.",
            "Start the simulated terminal with ./start_platform.sh --demo, or create a deployment on the page Infrastructure.",
        )
        return
    rows = [row for account in accounts for row in _account_rows(account, terminals.get(account), positions)]
    table(rows, "accounts", hide=("clock",))
    lines = {}
    for account in accounts:
        snapshots = stores.mailbox().snapshots(account, EQUITY_POINTS)
        if len(snapshots) > 1:
            times = pd.to_datetime([one.time_ms for one in snapshots], unit="ms", utc=True)
            lines[f"{account} ({snapshots[-1].currency})"] = pd.Series([one.equity for one in snapshots], times)
    if lines:
        draw(figures.lines_chart(lines, "equity (account currency)", height=280, tickformat=figures.MONEY), "equity")
        st.caption("Equity as the terminals reported it, by the market's time.")


def _account_rows(account: str, terminal: Terminal | None, positions: list[Position]) -> list[dict[str, object]]:
    now = now_ms()
    snapshot = stores.mailbox().snapshot(account)
    is_replay = terminal is not None and terminal.facts.market_clock == "replay"
    start = {
        "account": account,
        "balance": number(snapshot.balance, 2, snapshot.currency) if snapshot else "–",
        "equity": number(snapshot.equity, 2, snapshot.currency) if snapshot else "–",
        "positions": sum(position.account_id == account for position in positions),
        "clock": "–" if terminal is None else "replay" if is_replay else "wall",
    }
    rows = []
    for symbol in stores.ticks().watermarks(account):
        tick = stores.ticks().latest(account, symbol)
        if tick is None:
            continue
        item = instrument(symbol)
        tick_age = "replayed" if is_replay else age(tick.time_ms, now)
        spread = number((tick.ask - tick.bid) / item.point, 1, "points")
        last = {"symbol": symbol, "bid / ask": f"{item.price_text(tick.bid)} / {item.price_text(tick.ask)}", "spread": spread, "tick no.": tick.seq}
        rows.append(
            {
                **start,
                **last,
                "tick rate": _rate(account, symbol, tick.seq, now),
                "last tick (UTC)": utc(tick.time_ms),
                "tick age": tick_age,
            }
        )
    return rows or [start]


def _rate(account: str, symbol: str, seq: int, now: int) -> str:
    """Ticks per second since this visit last looked; a dash at the first look."""
    seen = st.session_state.setdefault("ticks_seen", {})
    before = seen.get((account, symbol))
    if before is None or now - before[1] >= 1_000:
        seen[(account, symbol)] = (seq, now)
    if before is None or now <= before[1]:
        return "–"
    rate = (seq - before[0]) * 1_000 / (now - before[1])
    return number(rate, 1 if rate < 10 else 0, "per s")


def _deployments(deployments: list[Deployment]) -> None:
    st.header("Last expected bar", anchor=False)
    if not deployments:
        missing("Nothing is deployed.", "Create a deployment and arm it on the page Infrastructure.")
        return
    now = now_ms()
    rows = []
    for one in deployments:
        live = liveness_of(one)
        rows.append(
            {
                "deployment": one.id,
                "strategy": one.strategy,
                "account": one.account_id,
                "bars": f"{one.symbol} {one.spec.timeframe}",
                "state": one.state,
                "keeps up": live.word,
                "last bar dealt with (UTC)": utc(live.bar_ms, False),
                "outcome": live.outcome,
                "dealt with": age(live.decided_ms, now),
                "waiting bar (UTC)": utc(live.waiting_bar_ms, False),
            }
        )
    behind = [str(row["deployment"]) for row in rows if row["keeps up"] == "behind"]
    if behind:
        st.warning(f"Behind: {', '.join(behind)}. Ticks have closed a bar that the desk has not dealt with yet.", icon=":material/warning:")
    table(rows, "liveness")


def _jobs() -> None:
    running = [job for state in ("running", "queued") for job in stores.jobs().list(state)]
    if running:
        st.header("Jobs", anchor=False)
        for job in running[:8]:
            queue.draw_job(job)


def _positions(positions: list[Position]) -> None:
    st.header("Open positions", anchor=False)
    if not positions:
        st.caption("No position is open.")
        return
    rows = []
    for one in positions:
        text = instrument(one.symbol).price_text
        rows.append(
            {
                "account": one.account_id,
                "ticket": one.ticket,
                "symbol": one.symbol,
                "side": side_word(one.side),
                "size (lots)": number(one.lots, 2),
                "entry": text(one.entry),
                "stop": "–" if one.stop is None else text(one.stop),
                "target": "–" if one.target is None else text(one.target),
                "floating profit (account currency)": number(one.profit, 2, sign=True),
                "opened (market time, UTC)": utc(one.opened_ms),
                "signal": one.signal_id or "–",
            }
        )
    table(rows, "positions", hide=("signal",))


def _stored() -> None:
    st.header("In store", anchor=False)
    shown = st.columns(5)
    shown[0].metric("bar sets", number(len(stores.pipeline().bar_sets()), 0), border=True)
    shown[1].metric("datasets", number(len(stores.pipeline().datasets()), 0), border=True)
    shown[2].metric("models", number(len(stores.models().list()), 0), border=True)
    shown[3].metric("backtests", _up_to(len(stores.backtests().runs(MOST_RUNS))), border=True)
    shown[4].metric("trials", number(stores.ledger().count(), 0), border=True)
    settings = load_settings()
    st.caption(f"{plural(len(list(Path(settings.home).glob('*.db'))), 'database')} in {settings.home} · API {settings.api_url}")


def _up_to(count: int) -> str:
    return f"{MOST_RUNS} or more" if count >= MOST_RUNS else number(count, 0)


main()

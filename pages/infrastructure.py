"""Infrastructure: deployments, signals, positions, terminals, processes with their logs, databases, the machine."""

from __future__ import annotations

import streamlit as st

from components.base import load_settings, now_ms
from components.bridge import PositionChange, StoredSignal
from components.fx import ExitKind, SignalState, instrument
from pages._shared import deploy, stores
from pages._shared.machine import show_machine
from pages._shared.parts import missing, page, stated, table, table_height
from pages._shared.text import DASH, age, number, pairs, plural, side_word, size, span, utc

LOG_BYTES, LOG_LINES = 64_000, 80
SIGNALS_SHOWN, CHANGES_SHOWN, PORTION = 300, 500, 10_000


def main() -> None:
    """The page."""
    with page("Infrastructure", "deployments, signals, terminals, processes, databases"):
        names = ["Deployments", "Signals", "Positions", "Terminals", "Processes and logs", "Databases", "Machine"]
        for tab, content in zip(st.tabs(names), (deploy.show, _signals, _positions, _terminals, _processes, _databases, _machine), strict=True):
            with tab:
                content()


def _accounts() -> list[str]:
    known = {one.account_id for one in stores.mailbox().terminals()} | {one.account_id for one in stores.desk().deployments()}
    return sorted(known)


def _signals() -> None:
    accounts = _accounts()
    left, right = st.columns(2)
    account = left.selectbox("account", ["all", *accounts], key="signals.account")
    state = right.selectbox("state", ["all", *(one.value for one in SignalState)], key="signals.state")
    signals = stores.mailbox().signals(None if account == "all" else account, None if state == "all" else SignalState(state), SIGNALS_SHOWN)
    if not signals:
        missing("No signal here.", "Signals come from armed deployments once their terminal sends ticks.")
        return
    st.caption(f"The newest {plural(len(signals), 'signal')}; choose a row to see everything that happened to it.")
    rows = [_signal_row(one) for one in signals]
    event = st.dataframe(
        rows,
        hide_index=True,
        key="signals",
        on_select="rerun",
        selection_mode="single-row",
        height=table_height(len(rows), 8),
        placeholder=DASH,
        column_config={"decided on bar (UTC)": None, "reason": None},
    )
    chosen = event.selection.rows if event else []
    shown = signals[chosen[0]] if chosen and chosen[0] < len(signals) else signals[0]
    _signal(shown)


def _signal_row(stored: StoredSignal) -> dict[str, object]:
    signal = stored.signal
    text = instrument(signal.symbol).price_text
    return {
        "issued (UTC)": utc(stored.issued_ms),
        "id": signal.id,
        "account": signal.account_id,
        "strategy": signal.strategy,
        "state": stored.state.value,
        "action": signal.action,
        "side": side_word(signal.side),
        "symbol": signal.symbol,
        "entry": signal.entry if signal.entry_price is None else f"{signal.entry} {text(signal.entry_price)}",
        "size (lots)": number(signal.lots, 2) if signal.lots else "–",
        "stop": "–" if signal.stop is None else text(signal.stop),
        "target": "–" if signal.target is None else text(signal.target),
        "decided on bar (UTC)": utc(signal.bar_ms, False),
        "reason": signal.reason_text,
    }


def _signal(stored: StoredSignal) -> None:
    signal = stored.signal
    with st.container(border=True):
        st.subheader(f"Signal {signal.id}: {stored.state.value}", anchor=False)
        facts = {
            "why": signal.reason_text or "–",
            "decided on bar": f"{utc(signal.bar_ms, False)} UTC",
            "strategy": f"{signal.strategy} {signal.params}",
            "model": signal.model_id or "–",
        }
        stated(facts | {"deliver by (market time, UTC)": utc(signal.deliver_by_ms or None), "last remark": stored.message or "–"})
        rows = [
            {
                "at (UTC)": utc(entry.at_ms),
                "from": entry.from_state.value if entry.from_state else "–",
                "to": entry.to_state.value,
                "by": entry.by,
                "note": entry.note or "–",
                "report": entry.report_id or "–",
            }
            for entry in stores.mailbox().journal(signal.id)
        ]
        table(rows, "journal")


def _positions() -> None:
    accounts = _accounts()
    if not accounts:
        missing("No account is known.", "Connect a terminal (./start_platform.sh --demo) or create a deployment.")
        return
    account = st.selectbox("account", accounts, index=accounts.index(_busiest(accounts)), key="positions.account")
    changes = _newest_changes(account)
    if not changes:
        missing("No position of this account has changed yet.", "Positions are journalled here as its terminal reports them.")
        return
    snapshot = stores.mailbox().snapshot(account)
    currency = snapshot.currency if snapshot else ""
    rows = [
        {
            "market time (UTC)": utc(one.time_ms),
            "ticket": one.ticket,
            "change": one.change,
            "by": one.by,
            "symbol": one.symbol,
            "side": side_word(one.side),
            "size (lots)": number(one.lots, 2),
            "price": "–" if one.price is None else instrument(one.symbol).price_text(one.price),
            "exit": ExitKind(one.exit_kind).name.lower().replace("_", " ") if one.exit_kind else "–",
            "profit": number(one.profit, 2, currency, sign=True) if one.change == "closed" else "–",
            "cost": number(one.cost, 2, currency),
            "recorded (UTC)": utc(one.recorded_ms),
            "note": one.note or "–",
        }
        for one in changes
    ]
    st.caption(f"The newest {plural(len(changes), 'change')}; by is the signal that caused it, the terminal (stop, target, stop-out) or a person.")
    table(rows, "positions_journal", most_rows=12, hide=("recorded (UTC)",))


def _busiest(accounts: list[str]) -> str:
    """The account with the most open positions; where none is open, one whose positions have changed."""
    mailbox = stores.mailbox()
    return max(accounts, key=lambda account: (len(mailbox.positions(account)), bool(mailbox.positions_journal(account, 0, 1))))


def _newest_changes(account: str) -> list[PositionChange]:
    """The last `CHANGES_SHOWN` lines of an account's positions journal, newest first; the journal is read in order."""
    changes: list[PositionChange] = []
    while lines := stores.mailbox().positions_journal(account, changes[-1].number if changes else 0, PORTION):
        changes = (changes + lines)[-CHANGES_SHOWN:]
        if len(lines) < PORTION:
            break
    return changes[::-1]


def _terminals() -> None:
    terminals = stores.mailbox().terminals()
    settings = load_settings()
    address = f"{settings.api_url}/api/v1"
    if not terminals:
        missing("No terminal has said hello.", f"Start the simulated one with ./start_platform.sh --demo, or point an EA at {address}.")
    else:
        now = now_ms()
        rows = [
            {
                "account": one.account_id,
                "name": f"{one.facts.name} {one.facts.version}".strip() or "–",
                "kind": "demo" if one.facts.is_demo else "REAL MONEY",
                "currency": one.facts.currency,
                "leverage": f"1:{one.facts.leverage:g}",
                "margin mode": one.facts.margin_mode,
                "market clock": one.facts.market_clock,
                "symbols": ", ".join(symbol.symbol for symbol in one.facts.symbols) or "–",
                "first seen (UTC)": utc(one.first_seen_ms),
                "last report": age(one.last_seen_ms, now),
            }
            for one in terminals
        ]
        table(rows, "terminals")
    stated({"API": address, "readable description": f"{address}/docs", "key for signing": str(settings.home / "api_key")})


def _processes() -> None:
    platform, now = stores.platform(), now_ms()
    processes = platform.processes()
    if not processes:
        missing("No process is supervised.", "Start the platform with ./start_platform.sh.")
        return
    rows = [
        {
            "process": one.name,
            "state": one.state if one.is_live(now) else "not supervised",
            "pid": str(one.pid or "–"),
            "started (UTC)": utc(one.started_ms),
            "up for": span(now - one.started_ms) if one.started_ms and one.pid and one.is_live(now) else "–",
            "restarts": one.restarts,
            "address": one.address or "–",
            "last end": one.last_exit or "–",
        }
        for one in processes
    ]
    table(rows, "processes", **{"last end": st.column_config.TextColumn(width="large")})
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Log", anchor=False)
        name = st.segmented_control(
            "log of", [one.name for one in processes], default=processes[0].name, required=True, key="log_of", label_visibility="collapsed"
        )
        path = next(one.log_path for one in processes if one.name == name)
        st.code(_tail(path) or "The log is empty.", language=None, height=360)
        st.caption(f"{path} · the last {LOG_LINES} lines")
    with right:
        st.subheader("What happened", anchor=False)
        events = [{"at (UTC)": utc(one.at_ms), "process": one.name, "what": one.what} for one in platform.events(200)]
        table(events, "events", most_rows=10)


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - LOG_BYTES))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:])
    except OSError as error:
        return f"The log cannot be read: {error.strerror}"


def _databases() -> None:
    home = stores.home()
    holds = {
        "data_pipeline.db": "bar sets and datasets",
        "training_jobs.db": "jobs and hardware readings",
        "trials.db": "the trial ledger",
        "models.db": "the model registry",
        "backtest_results.db": "backtests and comparisons",
        "mql5_data.db": "signals, positions, accounts, terminals",
        "ticks.db": "ticks",
        "desk.db": "deployments, trading state, decided bars",
        "platform.db": "processes",
    }
    rows = []
    for path in sorted(home.glob("*.db")):
        beside = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
        bytes_used = sum(part.stat().st_size for part in beside if part.exists())
        rows.append(
            {
                "database": path.name,
                "holds": holds.get(path.name, "–"),
                "size": size(bytes_used),
                "changed (UTC)": utc(int(path.stat().st_mtime * 1000)),
            }
        )
    table(rows, "databases")
    folders = {
        name: sum(part.stat().st_size for part in (home / name).rglob("*") if part.is_file()) for name in ("bars", "datasets", "models", "logs")
    }
    stated({"folder": str(home), "files": pairs({name: size(used) for name, used in folders.items()})})


def _machine() -> None:
    show_machine("infrastructure.machine")


main()

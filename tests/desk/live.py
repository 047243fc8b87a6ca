"""A live platform in real processes: the API, the desk, and terminals that replay the last real bars. Used by the tests and run as a script
by the planted-fault test, on a copy of the source."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Dense parameters: enough trades of every kind within a thousand bars. They are not meant to make money, and do not.
PARAMS: dict[str, dict[str, object]] = {
    "sma_cross": {"fast": 4, "slow": 12, "stop_atr": 1.5, "target_atr": 2.0},
    "atr_breakout": {"channel": 8, "stop_atr": 2.0, "target_atr": 2.5},
    "pullback": {
        "trend": 12,
        "rsi_period": 2,
        "rsi_low": 49.0,
        "entry_atr": 0.0,
        "expiry_bars": 2,
        "stop_atr": 2.5,
        "target_atr": 1.0,
        "leave_on_turn": False,
    },
    "model_edge": {"edge": 0.02, "stop_atr": 1.5, "target_atr": 2.0},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Live:
    """API and desk as processes over one home; `kill` is SIGKILL, as a crash is."""

    def __init__(self, home: Path, root: Path = ROOT) -> None:
        self.home, self.root = home, root
        self.api_port, self.desk_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.symbol, self.costs = "EURUSD", None

    @property
    def environment(self) -> dict[str, str]:
        names = {"SEQUENCE_HOME": self.home, "SEQUENCE_API_PORT": self.api_port, "SEQUENCE_DESK_PORT": self.desk_port, "PYTHONPATH": self.root}
        return {**os.environ, **{name: str(value) for name, value in names.items()}}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def start(self, name: str, *command: str) -> None:
        words = {"api": ["-m", "api_server"], "desk": ["-m", "components", "desk"]}.get(name, list(command))
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([sys.executable, *words], cwd=self.root, env=self.environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(10)

    def wait_ready(self, limit_s: float = 120.0) -> None:
        give_up = time.monotonic() + limit_s
        while time.monotonic() < give_up:
            try:
                with urllib.request.urlopen(self.url + "/api/v1/health", timeout=1), socket.create_connection(("127.0.0.1", self.desk_port), 1):
                    return
            except OSError:
                dead = [name for name, process in self.processes.items() if process.poll() is not None]
                assert not dead, f"{dead} ended:\n{self.log(dead[0])}"
                time.sleep(0.1)
        raise AssertionError("not ready\n" + self.log("api") + self.log("desk"))

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()[-4000:]

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def bars_of(live: Live, symbol: str):  # type: ignore[no-untyped-def]
    """The sample's bars; for another symbol than EURUSD they are synthetic: the same shape at a hundred times the price, three digits."""
    from components.fx import Timeframe
    from components.pipeline import PipelineStore, collect, keep_bars

    bar_set = collect(live.home, "sample", "EURUSD", "H1")
    store = PipelineStore.open(live.home)
    bars = store.load_bars(bar_set.id)
    store.close()
    if symbol == "EURUSD":
        return bar_set, bars
    scaled = bars.copy()
    for name in ("open", "high", "low", "close"):
        scaled[name] = (bars[name] * 100).round(3)
    return keep_bars(live.home, "synthetic", symbol, Timeframe.H1, scaled, 100.0, {}), scaled


def deploy(  # type: ignore[no-untyped-def]
    live: Live,
    strategies: list[str],
    bars_replayed: int,
    model_id: str | None = None,
    symbol: str = "EURUSD",
    costs=None,
    risk_fraction: float = 0.01,
):
    """An armed deployment of each strategy on an account of its own, and the ticks that their terminals will replay."""
    from components.desk import DeploymentSpec, DeskStore
    from components.execution import Costs
    from components.fx import Timeframe, instrument, to_ms
    from components.risk import Limits, Sizing
    from components.terminal import ticks_of_bars

    live.symbol, live.costs = symbol, costs or Costs()
    bar_set, bars = bars_of(live, symbol)
    bars = bars.iloc[-bars_replayed:]
    store = DeskStore.open(live.home)
    ids = {}
    for name in strategies:
        spec = DeploymentSpec(
            account_id=f"sim-{name}",
            symbol=symbol,
            strategy=name,
            params=PARAMS[name],
            sizing=Sizing(risk_fraction=risk_fraction),
            limits=Limits(max_risk_fraction=2 * risk_fraction),
            costs=live.costs,
            bar_set_id=bar_set.id,
            history_until_ms=to_ms(bars.index[0]),
            model_id=model_id if name == "model_edge" else None,
        )
        ids[name] = store.arm(store.create(spec).id).id
    store.close()
    return ids, ticks_of_bars(bars, instrument(symbol), Timeframe.H1, spread_points=10.0, step_points=10.0)


def terminal_of(live: Live, name: str, retry_for_s: float = 60.0):  # type: ignore[no-untyped-def]
    from components.bridge import ApiClient, load_or_make_key
    from components.fx import AccountSpec, instrument
    from components.terminal import SimulatedTerminal

    client = ApiClient(live.url, load_or_make_key(live.home), retry_for_s)
    return SimulatedTerminal(live.home, client, f"sim-{name}", AccountSpec(), instrument(live.symbol), live.costs)


def replay_all(live: Live, strategies: list[str], path: object, stop: threading.Event | None = None) -> None:
    """Replay every account in lockstep, each in a thread of its own; raises what a terminal raised."""
    errors: list[BaseException] = []

    def run(name: str) -> None:
        try:
            terminal = terminal_of(live, name)
            terminal.connect(path)
            terminal.replay(path, stop or threading.Event())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in strategies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive(), "a replay hangs\n" + live.log("desk")
    if errors:
        raise errors[0]


def main(home: Path, bars_replayed: int) -> None:
    """Deploy, replay and print the twin's verdict as JSON; for a copy of the source with a planted fault."""
    from components.desk import twin_replay

    home.mkdir(parents=True)
    live = Live(home)
    names = ["sma_cross"]
    # A twentieth of the equity at risk, so that a small error of the equity is not rounded away with the lots.
    ids, path = deploy(live, names, bars_replayed, risk_fraction=0.05)
    live.start("api")
    live.start("desk")
    try:
        live.wait_ready()
        replay_all(live, names, path)
        report = twin_replay(home, ids["sma_cross"])
        print(json.dumps({"is_equal": report.is_equal, "trades": report.trades, "fills_live": report.fills_live}))
    finally:
        live.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

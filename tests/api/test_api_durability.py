"""The API is killed with SIGKILL while terminals talk to it: what was answered is there afterwards, and nothing is handed out twice."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest
from api_process import ACCOUNT, FACTS, Api, raw

from components.base import ROOT, now_ms
from components.bridge import ApiClient, load_or_make_key, sign_request
from components.bridge.issue import issue_signals
from components.fx import PlatformError, Report, Signal, SignalState, Tick

T0 = 1_700_000_000_000


def tick(seq: int) -> Tick:
    return Tick("EURUSD", T0 + seq, 1.1 + seq % 97 * 1e-5, 1.2, seq)


def new_signals(*ids: str) -> list[Signal]:
    return [Signal(id, ACCOUNT, "d1", "open", "EURUSD", side=1, lots=0.1) for id in ids]


def issue(api: Api, *ids: str) -> None:
    mailbox = api.mailbox()
    issue_signals(mailbox, new_signals(*ids), {"by": "a test"})
    mailbox.close()


def worker_of(api: Api) -> psutil.Process:
    assert api.process is not None
    return next(child for child in psutil.Process(api.process.pid).children() if "resource_tracker" not in " ".join(child.cmdline()))


@pytest.mark.parametrize("victim", ["main process", "worker process"])
def test_every_acknowledged_tick_is_stored_when_the_api_is_killed_in_the_middle_of_many_posts(api: Api, victim: str) -> None:
    api.client().hello(FACTS)
    acknowledged: dict[int, list[int]] = {}
    stop = threading.Event()

    def post(number: int) -> None:
        client = ApiClient(api.url, api.client()._key, retry_for_s=0.0)
        mine = acknowledged.setdefault(number, [])
        seq = number * 1_000_000
        while not stop.is_set():
            batch = [tick(seq + n) for n in range(1, 1 + (1 if number % 2 else 50))]
            try:
                client.post_ticks(ACCOUNT, batch)
            except PlatformError:
                return
            seq = batch[-1].seq
            mine.extend(one.seq for one in batch)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    assert api.process is not None
    if victim == "worker process":
        worker_of(api).send_signal(signals.SIGKILL)
    else:
        api.process.send_signal(signals.SIGKILL)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(30)
    answered = {seq for mine in acknowledged.values() for seq in mine}
    assert len(answered) > 500
    api.process.wait(10)
    api.start()
    stored = api.ticks().since(ACCOUNT, "EURUSD", 0, 10_000_000)
    assert answered - set(stored.seq.tolist()) == set()
    by_seq = dict(zip(stored.seq.tolist(), stored.bid.tolist(), strict=True))
    assert all(by_seq[seq] == tick(seq).bid for seq in answered)


def test_nothing_is_left_running_when_the_main_process_is_killed(api: Api) -> None:
    worker = worker_of(api)
    api.kill()
    for _ in range(100):
        if not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the worker process outlived its parent")
    api.start()


def test_a_client_posts_on_through_a_restart_without_losing_or_doubling_a_tick(api: Api) -> None:
    client = api.client(retry_for_s=60.0)
    client.hello(FACTS)
    restarting = threading.Thread(target=lambda: (time.sleep(0.4), api.kill(), api.start()))
    restarting.start()
    seq, end = 0, time.monotonic() + 60
    while (restarting.is_alive() or seq < 300) and time.monotonic() < end:
        client.post_ticks(ACCOUNT, [tick(seq + n) for n in range(1, 11)])
        seq += 10
    restarting.join()
    assert api.ticks().since(ACCOUNT, "EURUSD", 0, 10_000_000).seq.tolist() == list(range(1, seq + 1))


def test_a_lease_survives_a_kill_and_the_same_lease_gives_the_same_signals(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    issue(api, "k1", "k2", "k3")
    first = client.pending(ACCOUNT, "lease-1", limit=2).signals
    api.kill()
    api.start()
    assert client.pending(ACCOUNT, "lease-1").signals == first == new_signals("k1", "k2")
    assert [s.id for s in client.pending(ACCOUNT, "lease-2").signals] == ["k3"]
    assert client.acknowledge(ACCOUNT, "k1") is SignalState.ACKNOWLEDGED


def test_acknowledgements_and_reports_survive_a_kill_and_may_be_repeated(api: Api) -> None:
    client = api.client()
    client.hello(FACTS)
    issue(api, "k1")
    client.pending(ACCOUNT, "lease-1")
    client.acknowledge(ACCOUNT, "k1")
    fill = Report("r1", ACCOUNT, "filled", T0, "EURUSD", "k1", ticket=5, side=1, lots=0.1, price=1.1)
    assert client.report(ACCOUNT, [fill]) == 1
    api.kill()
    api.start()
    assert client.acknowledge(ACCOUNT, "k1") is SignalState.FILLED
    assert client.report(ACCOUNT, [fill]) == 0
    mailbox = api.mailbox()
    assert [p.ticket for p in mailbox.positions(ACCOUNT)] == [5]
    assert [line.to_state.value for line in mailbox.journal("k1")] == ["pending", "leased", "acknowledged", "filled"]


def test_no_signal_is_executed_twice_while_the_api_is_killed_again_and_again(api: Api) -> None:
    client = api.client(retry_for_s=60.0)
    client.hello(FACTS)
    names = [f"x{number:02d}" for number in range(40)]
    executed: Counter[str] = Counter()
    stop = threading.Event()

    def trade() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            for given in client.pending(ACCOUNT, f"lease-{turn}", limit=5).signals:
                try:
                    client.acknowledge(ACCOUNT, given.id)
                except PlatformError:
                    continue
                executed[given.id] += 1
                number = int(given.id[1:]) + 100
                report = Report(f"r-{given.id}", ACCOUNT, "filled", T0, "EURUSD", given.id, ticket=number, side=1, lots=0.1, price=1.1)
                client.report(ACCOUNT, [report])
            time.sleep(0.01)

    trading = threading.Thread(target=trade)
    trading.start()
    for start in range(0, 40, 20):
        issue(api, *names[start : start + 20])
        time.sleep(0.25)
        api.kill()
        api.start()
    mailbox = api.mailbox()
    end = time.monotonic() + 60
    while mailbox.counts()[SignalState.FILLED] + mailbox.counts()[SignalState.UNKNOWN] < 40 and time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    trading.join(60)
    assert max(executed.values()) == 1
    assert mailbox.counts()[SignalState.FILLED] == len(executed)
    assert len(mailbox.positions(ACCOUNT)) == len(executed)
    assert mailbox.counts()[SignalState.FILLED] + mailbox.counts()[SignalState.UNKNOWN] == 40
    assert len(executed) >= 35


def test_a_request_from_before_a_restart_cannot_be_replayed_after_it(api: Api) -> None:
    api.client().hello(FACTS)
    path, time_ms = f"/api/v1/signals/pending?account_id={ACCOUNT}&lease_id=1", now_ms()
    signature = sign_request(load_or_make_key(api.home), "GET", path, time_ms, "before-0001", b"")
    headers = {"X-Sequence-Time": str(time_ms), "X-Sequence-Nonce": "before-0001", "X-Sequence-Signature": signature}
    assert raw(api, "GET", path, headers=headers)[0] == 200
    api.kill()
    api.start()
    status, answered, _ = raw(api, "GET", path, headers=headers)
    assert (status, answered["X-Sequence-Error"]) == (401, "clock_drift")


def test_a_read_only_home_is_said_in_a_sentence(api: Api) -> None:
    blocked = api.home / "a file, not a folder"
    blocked.write_text("")
    environment = {**os.environ, "SEQUENCE_HOME": str(blocked), "SEQUENCE_API_PORT": str(api.port + 1)}
    run = subprocess.run([sys.executable, "-m", "api_server"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 5
    assert run.stderr.strip().splitlines()[-1].startswith("api_server: cannot")
    assert "Traceback" not in run.stderr

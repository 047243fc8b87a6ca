"""Walk-forwards over real and made bars: what is chosen where, what is stitched, what is kept, what the future cannot move."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from walk_worlds import FAST_TO_WARM, kept, scrambled_from, tables, walk_bars, without_clock

from components.backtest.execute import BacktestSpec, Inputs
from components.backtest.run import FinerBars, Runner
from components.backtest.store import BacktestStore
from components.backtest.trades import measures
from components.backtest.walkforward import execute_walkforward
from components.backtest.walkforward_parts import Ground, history_of, measure_points, run_part
from components.base import ROOT
from components.fx import BadInput, BrokerDay, NotFound, Timeframe, instrument, resample_bars
from components.jobs import JobCancelled, Progress
from components.ledger import TrialLedger
from components.pipeline import collect
from components.strategy import Context, Decisions, strategy

RANGES = {"fast": [5, 10, 20], "slow": [30, 60]}
ROLLING: dict[str, Any] = {
    "strategy": "sma_cross", "params": FAST_TO_WARM, "ranges": RANGES, "train_bars": 600, "test_bars": 200, "windows": 3, "min_trades": 1, "cores": 2,
}  # fmt: skip
BARS = walk_bars(1_300, 5)


def ground_of(bars: pd.DataFrame, **rules: Any) -> Ground:
    chosen = strategy("sma_cross")
    points = [chosen.parse({**FAST_TO_WARM, "fast": 20, "slow": 60})]
    spec = BacktestSpec(strategy="sma_cross", bar_set_id="made", **rules)
    bar_set: Any = None  # only its name would be asked for
    return Ground(Inputs(spec, chosen, points[0], bar_set, bars, instrument("EURUSD"), {}, None), history_of(chosen, points))


def deciding(ground: Ground, decide: Any) -> Ground:
    """The same ground under another rule."""
    return replace(ground, inputs=replace(ground.inputs, strategy=replace(ground.strategy, decide=decide)))


def test_the_stitched_curve_is_the_test_parts_one_behind_the_other_with_the_money_carried_on(home: Path) -> None:
    study = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS)})
    kept_tables = tables(home, study.id)
    assert sorted(kept_tables) == ["equity", "trades", "windows"]
    equity, trades, windows = kept_tables["equity"], kept_tables["trades"], kept_tables["windows"]
    assert pd.DatetimeIndex(equity["time"]).equals(pd.DatetimeIndex(BARS.index[700:]).as_unit("ms").rename("time"))
    balance = 10_000.0
    for number, window in enumerate(study.result["windows"]):
        mine = trades[trades["window"] == number]
        assert window["balance_start"] == balance
        assert window["balance_end"] == pytest.approx(balance + mine["net_profit"].sum())
        assert window["balance_end"] == equity.loc[equity["window"] == number, "equity"].iloc[-1]
        first, end = 700 + 200 * number, 900 + 200 * number
        assert mine["entry_bar"].gt(first).all()  # decided at a close inside the part
        assert mine["exit_bar"].lt(end).all()
        assert (mine["entry_time"] == BARS.index[mine["entry_bar"]]).all()
        assert windows.loc[number, "test_start"] == BARS.index[first]
        balance = window["balance_end"]
        # The part by itself, with nothing behind it, from the same balance.
        runner = Runner(strategy("sma_cross"), BARS.iloc[first - 293 : end], instrument=instrument("EURUSD"))
        alone = runner.run(window["params"], rows=(293, 293 + 200), balance=window["balance_start"])
        np.testing.assert_allclose(alone.equity.to_numpy(), equity.loc[equity["window"] == number, "equity"])
        assert window["out_of_sample"]["trades"] == len(alone.trades) == len(mine)
    assert balance != 10_000.0
    out = study.result["out_of_sample"]
    day_id = np.asarray(BrokerDay().day_ids(pd.DatetimeIndex(equity["time"])))
    whole = measures(trades["net_profit"].to_numpy(), equity["equity"].to_numpy(), day_id, 10_000.0)
    assert {name: out[name] for name in ("sharpe", "total_return", "max_drawdown", "trades")} == {
        name: whole[name] for name in ("sharpe", "total_return", "max_drawdown", "trades")
    }
    assert out["total_return"] == pytest.approx(balance / 10_000 - 1)
    json.dumps(study.result, allow_nan=False)


def test_the_best_point_of_each_training_part_is_chosen_and_every_try_is_noted(home: Path) -> None:
    study = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS)})
    trials = TrialLedger.open(home).list("sma_cross", 1_000)
    training = [trial for trial in trials if trial.kind == "walkforward_train"]
    assert (len(training), len(trials) - len(training)) == (3 * 6, 3)
    assert study.result["trials"] == len(trials)
    for window in study.result["windows"]:
        mine = [trial for trial in training if trial.metrics["window"] == window["window"]]
        best = max(mine, key=lambda trial: trial.metrics["sharpe"])
        assert best.params == window["params"]
        assert best.metrics["sharpe"] == window["in_sample"]["sharpe"]
        alone = Runner(strategy("sma_cross"), BARS.iloc[: 700 + 200 * window["window"]], instrument=instrument("EURUSD"))
        begin = 100 + 200 * window["window"]
        measured = alone.measure(best.params, rows=(begin, begin + 600))
        assert measured.stats["sharpe"] == pytest.approx(best.metrics["sharpe"], rel=1e-6)
    assert len({trial.returns_digest for trial in training}) > 6


def test_nothing_behind_a_training_part_moves_what_is_chosen_on_it(home: Path) -> None:
    first = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS)}).result["windows"]
    for number in range(3):
        other = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, scrambled_from(BARS, 700 + 200 * number))}).result["windows"]
        for before in range(number + 1):
            assert other[before]["params"] == first[before]["params"]
            assert other[before]["in_sample"] == first[before]["in_sample"]
        assert other[number]["out_of_sample"] != first[number]["out_of_sample"]


def test_a_strategy_that_reads_the_end_of_its_bars_learns_nothing_of_the_test_part() -> None:
    seen: set[pd.Timestamp] = set()

    def knows_the_end(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        seen.add(bars.index[-1])
        rises = bars["close"].to_numpy()[-1] > bars["close"].to_numpy()
        return Decisions(side=np.where(rises, 1, -1).astype(np.int8))

    cheat = deciding(ground_of(BARS), knows_the_end)
    points = [cheat.strategy.parse(FAST_TO_WARM)]
    (one,) = measure_points(cheat, [(100, 700)], points)
    (other,) = measure_points(deciding(ground_of(scrambled_from(BARS, 700)), knows_the_end), [(100, 700)], points)
    assert one.stats == other.stats
    assert one.stats["trades"] > 0
    assert seen == {BARS.index[699]}


def test_a_part_opens_nothing_before_its_first_bar_and_leaves_nothing_open_behind_its_last() -> None:
    always = deciding(ground_of(BARS, costs={"spread_points": 10, "commission_per_lot": 3.5}), lambda bars, context, params: Decisions(side=1))
    equity, trades, measure = run_part(always, (500, 700), always.strategy.parse(FAST_TO_WARM), 8_000.0)
    assert (len(equity), equity["equity"].iloc[0]) == (200, 8_000.0)
    assert (trades["entry_bar"].min(), trades["exit_bar"].max(), trades["exit"].iloc[-1]) == (501, 699, "end_of_data")
    assert trades["cost"].iloc[-1] == pytest.approx(2 * 3.5 * trades["lots"].iloc[-1])  # closing at the border costs as any closing does
    assert equity["equity"].iloc[-1] == pytest.approx(8_000.0 + trades["net_profit"].sum())
    assert np.prod(1 + measure.daily) == pytest.approx(equity["equity"].iloc[-1] / 8_000.0)


def test_several_training_stretches_count_as_one_with_their_days_put_together() -> None:
    ground = ground_of(BARS)
    points = [ground.strategy.parse({**FAST_TO_WARM, "fast": 20, "slow": 60})]
    spans = [(100, 500), (700, 1_200)]
    (both,) = measure_points(ground, spans, points)
    parts = [next(measure_points(ground, [span], points)) for span in spans]
    returns = [part.stats["total_return"] for part in parts]
    assert both.stats["total_return"] == pytest.approx((1 + returns[0]) * (1 + returns[1]) - 1)
    assert both.stats["trades"] == sum(part.stats["trades"] for part in parts)
    np.testing.assert_array_equal(both.daily, np.concatenate([part.daily for part in parts]))
    assert both.stats["sharpe"] == pytest.approx(both.daily.mean() / both.daily.std(ddof=1) * np.sqrt(252))
    assert np.prod(1 + both.daily) - 1 == pytest.approx(both.stats["total_return"])


def test_finer_bars_decide_inside_every_part_as_they_do_in_one_run(home: Path) -> None:
    hours = walk_bars(3_200, 8)
    longer = Timeframe.named("H4")
    bars = resample_bars(hours, longer)
    spec = {**ROLLING, "bar_set_id": kept(home, bars, longer), "finer_bar_set_id": kept(home, hours), "train_bars": 300, "test_bars": 100}
    spec |= {"params": {**FAST_TO_WARM, "stop_atr": 0.3, "target_atr": 0.3}, "ranges": {"fast": [5]}}
    study = execute_walkforward(home, spec)
    window = study.result["windows"][1]
    first = len(bars) - 200
    finer = FinerBars(hours, Timeframe.H1, longer)
    runner = Runner(strategy("sma_cross"), bars, instrument=instrument("EURUSD"), finer=finer)
    alone = runner.run(window["params"], rows=(first, first + 100), balance=window["balance_start"])
    assert window["balance_end"] == pytest.approx(float(alone.equity.iloc[-1]))
    assert alone.stats["ambiguous_bars"] > alone.stats["ambiguous_left"]


def test_threads_do_not_change_what_is_found() -> None:
    ground = ground_of(BARS)
    points = [ground.strategy.parse({**FAST_TO_WARM, "fast": fast, "slow": 60}) for fast in range(5, 25)]
    alone = [one.stats for one in measure_points(ground, [(100, 700)], points, cores=1)]
    assert alone == [one.stats for one in measure_points(ground, [(100, 700)], points, cores=4)]


def test_a_window_in_which_no_point_trades_enough_is_not_traded(home: Path) -> None:
    study = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS), "min_trades": 500})
    assert [window["params"] for window in study.result["windows"]] == [None] * 3
    assert (study.result["windows_without_choice"], study.result["efficiency"]) == (3, None)
    equity = tables(home, study.id)["equity"]
    assert (equity["equity"] == 10_000.0).all()
    assert (study.result["out_of_sample"]["trades"], len(equity)) == (0, 600)
    assert {point.state for point in BacktestStore.open(home).studies.points(study.id)} == {"discarded"}


def test_an_account_that_is_gone_stays_gone(home: Path) -> None:
    spec = {**ROLLING, "params": {"stop_atr": 0, "target_atr": 0}, "ranges": {"fast": [5]}, "min_trades": 0, "limits": {"max_risk_fraction": 1.0}}
    spec |= {"account": {"leverage": 3_000.0, "balance": 2_000.0}, "sizing": {"mode": "fixed", "fixed_lots": 1.0}}
    trades = tables(home, execute_walkforward(home, {**spec, "bar_set_id": kept(home, BARS)}).id)["trades"]
    bought = trades[(trades["side"] > 0) & (trades["window"] == 1)].iloc[0]
    crash = BARS.copy()
    crash.loc[crash.index[int(bought["entry_bar"]) + 1 :], ["open", "high", "low", "close"]] *= 0.9
    study = execute_walkforward(home, {**spec, "bar_set_id": kept(home, crash)})
    balances = [window["balance_end"] for window in study.result["windows"]]
    assert (balances[0] > 0, balances[1:]) == (True, [0.0, 0.0])
    assert study.result["out_of_sample"]["total_return"] == -1.0
    last = study.result["windows"][-1]["out_of_sample"]
    assert (last["trades"], last["total_return"], last["net_profit"]) == (0, 0.0, 0.0)
    json.dumps(study.result, allow_nan=False)


def test_a_point_that_cannot_be_run_is_a_failed_try_and_is_not_chosen() -> None:
    ground = ground_of(BARS)

    def fails_at_ten(bars: pd.DataFrame, context: Context, params: Any) -> Decisions:
        return Decisions(side=2) if params.fast == 10 else ground.strategy.decide(bars, context, params)

    broken = deciding(ground, fails_at_ten)
    points = [ground.strategy.parse({**FAST_TO_WARM, "fast": fast, "slow": 60}) for fast in (5, 10)]
    fine, failed = measure_points(broken, [(100, 700)], points)
    assert (fine.error, failed.stats) == ("", {})
    assert "decisions.side" in failed.error


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"bar_set_id": "nothing"}, NotFound, "nothing"),
        ({"strategy": "martingale"}, BadInput, "martingale"),
        ({"train_bars": 5_000}, BadInput, "do not fit"),
        ({"ranges": {"pace": [1]}}, BadInput, "pace"),
        ({"params": {"atr_period": 50}}, BadInput, "warm up"),
        ({"refit": {}}, BadInput, "trades no model"),
        ({"strategy": "model_edge", "ranges": {}, "params": {}}, BadInput, "name a model"),
    ],
)
def test_what_cannot_be_walked_says_why_and_keeps_nothing(home: Path, changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS), **changes})
    assert TrialLedger.open(home).count() == 0
    assert BacktestStore.open(home).studies.studies() == []


def test_a_cancelled_walk_keeps_its_windows_and_notes_the_points_it_had_tried(home: Path) -> None:
    def report(fraction: float, message: str, metrics: dict[str, Any], checkpoint: dict[str, Any] | None) -> None:
        if message.startswith("window 2") and fraction > 0.5:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS), "cores": 1}, Progress(report))
    (study,) = BacktestStore.open(home).studies.studies("walkforward")
    assert study.state == "cancelled"
    assert [point.number for point in BacktestStore.open(home).studies.points(study.id)] == [0]
    kinds = [trial.metrics["window"] for trial in TrialLedger.open(home).list() if trial.kind == "walkforward_train"]
    assert kinds.count(0) == 6
    assert 0 < kinds.count(1) < 6
    resumed = execute_walkforward(home, {**ROLLING, "bar_set_id": kept(home, BARS)}, Progress(resumed_from={"study_id": study.id}))
    assert (resumed.id, resumed.state) == (study.id, "done")
    assert TrialLedger.open(home).count() == 3 * 6 + 3  # what was tried before and is tried again is one try


KILLED = """
import json, os, signal, sys
from pathlib import Path
from components.backtest.walkforward import execute_walkforward
from components.jobs import Progress

home, spec = Path(sys.argv[1]), json.loads(sys.argv[2])

def report(fraction, message, metrics, checkpoint):
    if checkpoint:
        (home / "checkpoint.json").write_text(json.dumps(checkpoint))
    if message.startswith("window 2") and fraction > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)

execute_walkforward(home, spec, Progress(report))
"""


@pytest.mark.slow
def test_a_walk_that_was_killed_goes_on_with_the_missing_windows_and_ends_the_same(home: Path, tmp_path: Path) -> None:
    spec = {**ROLLING, "bar_set_id": kept(home, BARS)}
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(home), json.dumps(spec)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    studies = BacktestStore.open(home).studies
    (left,) = studies.studies("walkforward")
    assert left.state == "running"
    assert [point.number for point in studies.points(left.id)] == [0]
    told: list[str] = []
    checkpoint = json.loads((home / "checkpoint.json").read_text())
    resumed = execute_walkforward(home, spec, Progress(lambda f, message, *_: told.append(message), resumed_from=checkpoint))
    assert not any(message.startswith("window 1 ") for message in told)
    other = tmp_path / "whole"
    whole = execute_walkforward(other, {**spec, "bar_set_id": kept(other, BARS)})
    assert resumed.id == left.id
    assert without_clock(resumed.result) == without_clock(whole.result)
    for name, table in tables(other, whole.id).items():
        pd.testing.assert_frame_equal(tables(home, resumed.id)[name], table)
    assert TrialLedger.open(home).count() == TrialLedger.open(other).count() == 3 * 6 + 3
    assert execute_walkforward(home, spec, Progress(resumed_from=checkpoint)) == resumed  # once more: nothing is left to do


def test_combinatorial_paths_compound_the_parts_that_their_splits_tested(home: Path) -> None:
    spec = {"strategy": "sma_cross", "params": FAST_TO_WARM, "ranges": {"fast": [5, 20]}, "min_trades": 1, "bar_set_id": kept(home, BARS)}
    study = execute_walkforward(home, {**spec, "mode": "combinatorial", "groups": 4, "test_groups": 2, "embargo_bars": 20})
    kept_tables = tables(home, study.id)
    assert sorted(kept_tables) == ["equity", "paths", "trades", "windows"]
    result = study.result
    assert (len(result["windows"]), result["paths"]["paths"], result["embargo_bars"]) == (6, 3, 20)
    paths, equity = kept_tables["paths"], kept_tables["equity"]
    assert result["paths"]["sharpe_mean"] == pytest.approx(paths["sharpe"].mean())
    assert result["out_of_sample"]["sharpe"] == paths["sharpe"].median()
    for number, splits in enumerate(paths["splits"]):
        mine = equity[equity["path"] == number]
        assert mine["time"].is_monotonic_increasing
        assert mine["equity"].iloc[-1] / 10_000 - 1 == pytest.approx(paths.loc[number, "total_return"])
        # Each part began with the starting balance: its profits over that are the factor that it adds to the path.
        trades = kept_tables["trades"]
        factor = 1.0
        for group, split in enumerate(map(int, splits.split())):
            first, end = len(BARS) * group // 4, len(BARS) * (group + 1) // 4
            inside = trades[(trades["window"] == split) & trades["entry_bar"].between(first, end - 1)]
            factor *= 1 + inside["net_profit"].sum() / 10_000
        assert factor - 1 == pytest.approx(paths.loc[number, "total_return"])


@pytest.mark.slow
def test_a_rule_fitted_to_noise_keeps_nothing_of_it_and_a_real_edge_goes_on_earning(home: Path) -> None:
    def walked(bars: pd.DataFrame) -> dict[str, Any]:
        spec = {"strategy": "sma_cross", "bar_set_id": kept(home, bars), "params": FAST_TO_WARM, "costs": {"spread_points": 0}}
        ranges = {"fast": [3, 5, 8, 12], "slow": [15, 30, 60]}
        return execute_walkforward(home, {**spec, "ranges": ranges, "windows": 6}).result

    noise = [walked(walk_bars(4_000, seed)) for seed in range(1, 5)]
    edge = [walked(walk_bars(4_000, seed, drift=0.5)) for seed in range(1, 5)]

    def pooled(results: list[dict[str, Any]]) -> float:
        earned = [sum(one["annual_return"][side] for one in results) for side in ("in_sample", "out_of_sample")]
        return float(earned[1] / earned[0])

    assert all(one["annual_return"]["in_sample"] > 0.1 for one in noise)  # the best of twelve looks good on anything
    assert pooled(noise) < 0.25
    assert sum(any(found["code"] == "walkforward_efficiency" for found in one["findings"]) for one in noise) >= 3
    assert not any(found["severity"] == "fatal" for one in edge for found in one["findings"])
    assert 0.75 < pooled(edge) < 1.25
    assert all(one["profitable_windows"] == 1.0 for one in edge)


def test_on_real_hourly_bars_every_mode_walks(home: Path) -> None:
    bar_set = collect(home, "sample", "EURUSD", "H1")
    spec = {"strategy": "sma_cross", "bar_set_id": bar_set.id, "ranges": {"fast": [10, 20], "slow": [50, 100]}}
    rolling = execute_walkforward(home, {**spec, "train_bars": 2_000, "test_bars": 1_000}).result
    anchored = execute_walkforward(home, {**spec, "mode": "anchored", "train_bars": 2_000, "test_bars": 1_000}).result
    assert len(rolling["windows"]) == len(anchored["windows"]) == 3
    assert rolling["windows"][0] == anchored["windows"][0]
    starts = [{window["train"][0][0] for window in one["windows"]} for one in (rolling, anchored)]
    assert [len(one) for one in starts] == [3, 1]
    assert set(rolling["drift"]) == {"fast", "slow"}
    for window in rolling["windows"]:
        assert window["test"][0][0] > window["train"][0][1]

"""Every check of the diagnosis: a made-up run that has the fault, and one that has not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.backtest.diagnosis import BOUNDS, CHECKS, Evidence, diagnose
from components.backtest.store import StoredRun
from components.backtest.studies import Point
from components.fx import Timeframe, instrument

EURUSD = instrument("EURUSD")
ROWS, TRADES, STEP, HELD = 9_600, 200, 43, 5
UNITS = 100_000.0
Frame = pd.DataFrame
Change = Callable[[Frame], None]


def times() -> pd.DatetimeIndex:
    """Opens of hourly bars of 400 weekdays, the FX week without its Sunday evening."""
    days = pd.bdate_range("2022-01-03", periods=ROWS // 24)
    hours = (days.to_numpy()[:, None] + np.arange(24) * np.timedelta64(1, "h")).ravel()
    return pd.DatetimeIndex(hours).tz_localize("UTC").as_unit("ms")


def bars_of(drift: float = 0.0) -> Frame:
    """Bars that wander around 1.10 with a spread of 8 to 12 points; `drift` is what they gain over all rows."""
    random = np.random.default_rng(3)
    close = 1.10 + 0.01 * np.sin(np.arange(ROWS) / 300.0) + drift * np.arange(ROWS) / ROWS + random.normal(0, 0.0003, ROWS)
    opened = np.concatenate((close[:1], close[:-1]))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + 0.0004,
        "low": np.minimum(opened, close) - 0.0004,
        "close": close,
        "volume": np.full(ROWS, 100.0),
        "spread_points": random.uniform(8, 12, ROWS),
    }
    return pd.DataFrame(columns, index=times())


def earn(frame: Frame, net: Any) -> None:
    """Give the trades these net profits, at prices that make them."""
    frame["net_profit"] = np.asarray(net, dtype=np.float64)
    frame["gross_profit"] = frame["net_profit"] + frame["cost"] - frame["swap"]
    frame["exit_price"] = frame["entry_price"] + frame["side"] * frame["gross_profit"] / (frame["lots"] * UNITS)


def place(frame: Frame, rows: Any, held: Any = HELD) -> None:
    """Put the entries on these rows, and the exits so many rows later."""
    index = times()
    frame["entry_bar"] = np.minimum(np.asarray(rows, dtype=np.int64), ROWS - 1)
    frame["exit_bar"] = np.minimum(frame["entry_bar"] + held, ROWS - 1)
    frame["entry_time"], frame["exit_time"] = index[frame["entry_bar"]], index[frame["exit_bar"]]


def trades_of(count: int = TRADES) -> Frame:
    """Healthy trades: both sides, all hours, wins of 30 and losses of 20, stops and targets 20 and 30 pips away."""
    number = np.arange(count)
    side = np.where(number % 2 == 0, 1, -1)
    won = np.random.default_rng(5).random(count) < 0.55
    frame = pd.DataFrame(
        {"ticket": number + 1, "side": side, "lots": 0.2, "entry_price": 1.10, "cost": 1.4, "swap": np.where(number % 5 == 0, -0.1, 0.0)}
    )
    frame["stop"], frame["target"] = 1.10 - side * 0.0020, 1.10 + side * 0.0030
    frame["exit"] = np.where(won, "target", "stop")
    frame["ambiguous"], frame["reason"], frame["reason_text"], frame["level"] = False, 1, "", np.nan
    place(frame, 60 + STEP * number, np.where(won, HELD, HELD + 1))
    earn(frame, np.where(won, 30.0, -20.0) + 0.001 * (number % 7))
    return frame


def made_up(
    change: Change | None = None,
    *,
    count: int = TRADES,
    curve: Callable[[np.ndarray], np.ndarray] | None = None,
    bars: Frame | None = None,
    stats: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    **known: Any,
) -> Evidence:
    """A run with what is healthy, but for the changes."""
    frame = trades_of(count)
    if change is not None:
        change(frame)
    earned = np.bincount(frame["exit_bar"], weights=frame["net_profit"], minlength=ROWS) if len(frame) else np.zeros(ROWS)
    equity = 10_000.0 + np.cumsum(earned)
    equity = equity if curve is None else curve(equity)
    asked = {
        "strategy": "sma_cross",
        "account": {"balance": 10_000.0, "leverage": 30.0, "currency": "USD"},
        "costs": {"spread_points": 10.0, "slippage_points": 1.0, "commission_per_lot": 3.5},
        "sizing": {"mode": "risk", "risk_fraction": 0.004},
    }
    measures = {"refused": {}, "ruined": False, "conversion": {"by": "same currency", "through": []}, "profit_against": 1.0, "profit_favour": 2.0}
    stored = StoredRun(
        id="made-up", name="made up", source="sequence", strategy="sma_cross", params={"fast": 10, "slow": 30}, symbol="EURUSD", timeframe="H1",
        bar_set_id="bars", dataset_id=None, model_id=None, policy="mt5", currency="USD", spec={**asked, **(spec or {})},
        stats={**measures, **(stats or {})}, total_return=float(equity[-1] / 10_000 - 1), sharpe=1.2, max_drawdown=0.05, trades=len(frame),
        start_ms=0, end_ms=1, code_version="test", created_ms=0,
    )  # fmt: skip
    shown = bars_of() if bars is None else bars
    details: dict[str, Any] = {"quality": {"score": 97.0, "state": "trusted", "source": "test"}, "warmup_bars": 50, **known}
    return Evidence(
        replace(stored, **(run or {})), frame, pd.Series(equity, index=times(), name="equity"), EURUSD, Timeframe.H1, lambda: shown, **details
    )


def points_of(sharpe: Callable[[int, int], float]) -> list[Point]:
    """A sweep over fast 8, 9 … 12 and slow 26, 28 … 34."""
    grid = [(fast, slow) for fast in range(8, 13) for slow in range(26, 36, 2)]
    return [Point(number, {"fast": fast, "slow": slow}, "done", {"sharpe": sharpe(fast, slow)}) for number, (fast, slow) in enumerate(grid)]


def set_net(values: Callable[[Frame], Any]) -> Change:
    """Other profits for the same trades."""
    return lambda frame: earn(frame, values(frame))


def set_column(name: str, values: Callable[[Frame], Any]) -> Change:
    """Another column for the same trades."""

    def change(frame: Frame) -> None:
        frame[name] = values(frame)

    return change


def hours(frame: Frame) -> np.ndarray:
    return frame["entry_time"].dt.hour.to_numpy()


def doubled_after_losses(frame: Frame) -> None:
    net = np.where(np.arange(len(frame)) % 3 == 2, 30.0, -10.0)
    lots = np.full(len(frame), 0.2)
    for number in range(1, len(frame)):
        lots[number] = lots[number - 1] * 2 if net[number - 1] < 0 and lots[number - 1] < 0.8 else 0.2
    frame["lots"] = lots
    earn(frame, net * lots / 0.2)


def averaged_down(frame: Frame) -> None:
    number = np.arange(len(frame))
    frame["side"] = 1
    place(frame, 60 + STEP * (number - number % 2) + 2 * (number % 2), 30)
    frame["entry_price"] = 1.10 - 0.002 * (number % 2)
    earn(frame, frame["net_profit"])


def on_turn_of_day(frame: Frame) -> None:
    number = np.arange(len(frame))
    place(frame, 46 + 24 * number)  # 22:00 UTC is 17:00 in New York in winter


def over_weekends(frame: Frame) -> None:
    place(frame, 60 + STEP * np.arange(len(frame)), 40)


def wide_at_entries() -> Frame:
    bars = bars_of()
    rows = trades_of()["entry_bar"].to_numpy()[:40]
    bars.loc[bars.index[rows], "spread_points"] = 60.0
    return bars


def flat_before_entries() -> Frame:
    bars = bars_of()
    rows = trades_of()["entry_bar"].to_numpy()[:20] - 1
    for name in ("open", "high", "low"):
        bars.loc[bars.index[rows], name] = bars["close"].iloc[rows]
    return bars


def with_holes(frame: Frame) -> None:
    """Entries on Mondays at midnight after two days' pause are no hole; entries after a pause within the week are."""
    place(frame, 60 + STEP * np.arange(len(frame)))


def evidence_with_holes() -> Evidence:
    found = made_up()
    moved = found.equity.index.to_series().to_numpy().copy()
    for row in found.trades["entry_bar"].to_numpy()[:40]:
        moved[row] = moved[row] + np.timedelta64(30, "m")
    found.equity.index = (
        pd.DatetimeIndex(moved).as_unit("ms") if pd.DatetimeIndex(moved).tz else pd.DatetimeIndex(moved).tz_localize("UTC").as_unit("ms")
    )
    return found


def trending_long(frame: Frame) -> None:
    frame["side"] = 1
    place(frame, 24 * np.arange(len(frame)) * 2, 47)
    close = bars_of(drift=0.3)["close"].to_numpy()
    earn(frame, 4_000 * (close[frame["exit_bar"]] - close[frame["entry_bar"]]))


def follows_market(equity: np.ndarray) -> np.ndarray:
    close = bars_of(drift=0.3)["close"].to_numpy()
    return 10_000 * close / close[0]


def smooth_curve(equity: np.ndarray) -> np.ndarray:
    return 10_000 * np.exp(np.cumsum(0.00002 * (1 + np.sin(np.arange(ROWS) / 24 / 10))))


def falling_at_end(equity: np.ndarray) -> np.ndarray:
    fall = np.clip((np.arange(ROWS) - 5_000) / 4_000, 0, 1) * 1_500
    return equity - fall


def early_peak(equity: np.ndarray) -> np.ndarray:
    row = np.arange(ROWS)
    return np.where(row < 1_000, 10_000 + row, np.where(row < 9_000, 10_500 + row / 100, 11_000 + row / 10))


SICK: dict[str, Callable[[], Evidence]] = {
    "few_trades": lambda: made_up(count=12),
    "short_history": lambda: _cut(made_up(), 3_000),
    "one_trade": lambda: made_up(set_net(lambda f: np.where(np.arange(len(f)) == 7, 900.0, np.where(np.arange(len(f)) % 2, 10.0, -9.9)))),
    "five_trades": lambda: made_up(set_net(lambda f: np.where(np.arange(len(f)) < 5, 300.0, -5.0))),
    "one_hour": lambda: made_up(set_net(lambda f: np.where(hours(f) == hours(f)[0], 200.0, -5.0))),
    "one_weekday": lambda: made_up(set_net(lambda f: np.where(f["entry_time"].dt.weekday == 2, 60.0, -10.0))),
    "one_month": lambda: made_up(set_net(lambda f: np.where(f["exit_time"].dt.strftime("%Y-%m") == "2022-05", 120.0, -5.0))),
    "one_side": lambda: made_up(set_net(lambda f: np.where(f["side"] > 0, 40.0, -15.0))),
    "falls_apart": lambda: made_up(set_net(lambda f: np.where(np.arange(len(f)) < 100, 1, -1) * (10.0 + 5.0 * (np.arange(len(f)) % 3)))),
    "tiny_wins": lambda: made_up(set_net(lambda f: np.where(np.arange(len(f)) % 20 == 9, -200.0, 12.0))),
    "losers_held": lambda: made_up(lambda f: place(f, f["entry_bar"], np.where(f["net_profit"] > 0, 3, 12))),
    "long_in_rising": lambda: made_up(trending_long, bars=bars_of(drift=0.3), curve=follows_market),
    "smooth_returns": lambda: made_up(curve=smooth_curve),
    "luck_of_one_spike": lambda: made_up(points=points_of(lambda fast, slow: 1.2 if (fast, slow) == (10, 30) else 0.1)),
    "edge_of_range": lambda: made_up(run={"params": {"fast": 12, "slow": 30}}, points=points_of(lambda fast, slow: 1.2)),
    "cost_break_even": lambda: made_up(set_column("cost", lambda f: 20.0)),
    "swap_share": lambda: made_up(set_column("swap", lambda f: 4.0)),
    "no_swap": lambda: made_up(lambda f: (place(f, f["entry_bar"], 20), set_column("swap", lambda g: 0.0)(f))[0]),
    "no_commission": lambda: made_up(set_column("cost", lambda f: 0.0)),
    "no_spread": lambda: made_up(bars=bars_of().drop(columns="spread_points"), spec={"costs": {"spread_points": 0.0, "slippage_points": 1.0}}),
    "no_slippage": lambda: made_up(set_column("exit", lambda f: "stop"), spec={"costs": {"spread_points": 10.0}}),
    "one_spread": lambda: made_up(bars=bars_of().drop(columns="spread_points")),
    "targets_in_spread": lambda: made_up(set_column("target", lambda f: f["entry_price"] + f["side"] * 0.00012)),
    "stops_in_spread": lambda: made_up(set_column("stop", lambda f: f["entry_price"] - f["side"] * 0.00012)),
    "wide_spread": lambda: made_up(bars=wide_at_entries()),
    "rollover_hour": lambda: made_up(on_turn_of_day),
    "weekend_holding": lambda: made_up(over_weekends),
    "overnight_holding": lambda: made_up(over_weekends),
    "within_one_bar": lambda: made_up(lambda f: place(f, f["entry_bar"], np.where(np.arange(len(f)) % 4 == 0, 0, 5))),
    "drawdown_open": lambda: made_up(curve=falling_at_end),
    "long_drawdown": lambda: made_up(curve=early_peak),
    "end_of_data": lambda: made_up(
        lambda f: (set_net(lambda g: np.where(np.arange(len(g)) == len(g) - 1, 900.0, g["net_profit"]))(f), _last_open(f))[0]
    ),
    "flat_bars": lambda: made_up(bars=flat_before_entries()),
    "gap_entries": evidence_with_holes,
    "poor_bars": lambda: made_up(quality={"score": 61.0, "state": "released", "source": "test"}),
    "released_bars": lambda: made_up(quality={"score": 85.0, "state": "released", "source": "test"}),
    "old_rates": lambda: made_up(
        stats={
            "conversion": {"by": "ECB reference rates", "reference_rows": 9_000, "reference_oldest_hours": 96.0, "reference_oldest_fix": "2022-04-14"}
        }
    ),
    "trained_on": lambda: made_up(trained_until_ms=int(times()[4_000].timestamp() * 1000)),
    "warm_up": lambda: made_up(warmup_bars=3_000),
    "ruined": lambda: made_up(stats={"ruined": True}),
    "nearly_ruined": lambda: made_up(curve=lambda equity: np.where(np.arange(ROWS) > 5_000, equity * 0.4, equity)),
    "ambiguous": lambda: made_up(set_column("ambiguous", lambda f: np.arange(len(f)) % 10 == 0)),
    "sign_of_resolution": lambda: made_up(stats={"profit_against": -120.0, "profit_favour": 300.0}),
    "refused": lambda: made_up(stats={"refused": {"invalid_stops": 30, "size_too_small": 10}}),
    "margin_refused": lambda: made_up(stats={"refused": {"no_margin": 3}}),
    "stop_out": lambda: made_up(set_column("exit", lambda f: np.where(np.arange(len(f)) == 3, "stop_out", f["exit"]))),
    "targets_never_hit": lambda: made_up(set_column("exit", lambda f: "stop")),
    "stops_never_hit": lambda: made_up(set_column("exit", lambda f: "target")),
    "risk_per_trade": lambda: made_up(set_column("stop", lambda f: f["entry_price"] - f["side"] * 0.03)),
    "large_loss": lambda: made_up(set_net(lambda f: np.where(np.arange(len(f)) == 50, -2_000.0, 30.0))),
    "leverage": lambda: made_up(lambda f: (set_column("lots", lambda g: 1.5)(f), earn(f, f["net_profit"]))[0]),
    "martingale": lambda: made_up(doubled_after_losses),
    "averaging_down": lambda: made_up(averaged_down),
    "smallest_lots": lambda: made_up(lambda f: (set_column("lots", lambda g: 0.01)(f), earn(f, f["net_profit"] / 20))[0]),
    "largest_lots": lambda: made_up(set_column("lots", lambda f: np.where(np.arange(len(f)) % 10 == 0, 100.0, f["lots"]))),
}
SEVERITY = {"trained_on": "fatal", "ruined": "fatal"}


def _cut(evidence: Evidence, rows: int) -> Evidence:
    kept = evidence.trades[evidence.trades["exit_bar"] < rows]
    bars = bars_of().iloc[:rows]
    return replace(evidence, trades=kept, equity=evidence.equity.iloc[:rows], load_bars=lambda: bars)


def _last_open(frame: Frame) -> None:
    frame["exit"] = np.where(np.arange(len(frame)) == len(frame) - 1, "end_of_data", frame["exit"])


def test_every_check_has_a_run_with_its_fault_and_bounds_in_the_table() -> None:
    assert set(SICK) == set(CHECKS) == set(BOUNDS)
    assert len(CHECKS) >= 32


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_a_run_with_the_fault_is_found(code: str) -> None:
    found = {finding.code: finding for finding in diagnose(SICK[code]())}
    assert code in found, sorted(found)
    finding = found[code]
    assert finding.title
    assert finding.fix.endswith(".")
    assert finding.finding.endswith(".")
    assert any(letter.isdigit() for letter in finding.finding) or code == "released_bars", "a finding says its numbers"
    assert finding.evidence["bounds"] == BOUNDS[code]
    json.dumps(finding.evidence, allow_nan=False)
    assert (finding.severity == "fatal") == (code in SEVERITY)


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_a_run_without_the_fault_is_left_alone(code: str) -> None:
    assert CHECKS[code](made_up()) is None


def test_a_healthy_run_gives_no_finding() -> None:
    assert diagnose(made_up()) == []


def test_findings_come_worst_first() -> None:
    def sick(frame: Frame) -> None:
        frame["exit"], frame["cost"] = "stop", 20.0

    found = diagnose(made_up(sick, trained_until_ms=int(times()[4_000].timestamp() * 1000)))
    order = [finding.severity for finding in found]
    assert order == sorted(order, key=("fatal", "doubt", "note").index)
    assert set(order) == {"fatal", "doubt", "note"}


def test_a_run_without_trades_or_rows_is_diagnosed_too() -> None:
    empty = made_up(count=0)
    assert "few_trades" in {finding.code for finding in diagnose(empty)}
    nothing = replace(empty, equity=empty.equity.iloc[:0])
    assert "few_trades" in {finding.code for finding in diagnose(nothing)}


def test_an_imported_run_is_diagnosed_without_bars_instrument_or_rows() -> None:
    def foreign(frame: Frame) -> None:
        frame["entry_bar"] = frame["exit_bar"] = -1
        frame.drop(columns="swap", inplace=True)

    whole = made_up()
    foreign(whole.trades)
    imported = Evidence(
        replace(whole.run, source="imported", policy="foreign", bar_set_id=None, symbol="US30", stats={}, spec={"balance": 10_000.0}),
        whole.trades,
        whole.equity,
    )
    assert {finding.severity for finding in diagnose(imported)} <= {"note", "doubt"}


NEAR: dict[str, tuple[Callable[[], Evidence], Callable[[], Evidence]]] = {
    "30 trades are enough, 29 are not": (lambda: made_up(count=29), lambda: made_up(count=30)),
    "a drawdown of 20 days at the end is none": (
        lambda: made_up(curve=lambda e: e - 900.0 * (np.arange(ROWS) > ROWS - 40 * 24)),
        lambda: made_up(curve=lambda e: e - 900.0 * (np.arange(ROWS) > ROWS - 10 * 24)),
    ),
    "a plateau is no spike": (
        lambda: made_up(points=points_of(lambda fast, slow: 1.2 - 0.4 * (abs(fast - 10) + abs(slow - 30)))),
        lambda: made_up(points=points_of(lambda fast, slow: 1.2 - 0.05 * (abs(fast - 10) + abs(slow - 30)))),
    ),
    "a weekend is no hole": (evidence_with_holes, lambda: made_up(lambda f: place(f, 24 * 5 * (1 + np.arange(len(f)) % 75)))),
}
CODE_OF = dict(zip(NEAR, ("few_trades", "drawdown_open", "luck_of_one_spike", "gap_entries"), strict=True))


@pytest.mark.parametrize("sentence", list(NEAR))
def test_the_bound_is_where_it_says(sentence: str) -> None:
    beyond, within = NEAR[sentence]
    check = CHECKS[CODE_OF[sentence]]
    assert (check(beyond()) is not None, check(within()) is not None) == (True, False)


def test_the_cost_at_which_the_profit_is_gone_is_right() -> None:
    evidence = made_up(set_column("cost", lambda f: 20.0))
    found = CHECKS["cost_break_even"](evidence)
    assert found is not None
    times_cost = found.evidence["break_even_times"]
    paid = float(evidence.trades["cost"].sum()) + found.evidence["spread_paid"]
    assert evidence.net_profit - (times_cost - 1) * paid == pytest.approx(0.0, abs=1e-6)
    assert found.evidence["spread_paid"] == pytest.approx(TRADES * 0.2 * UNITS * 10 * EURUSD.point, rel=0.05)


def test_neighbours_are_one_step_away_in_any_parameter() -> None:
    found = CHECKS["luck_of_one_spike"](SICK["luck_of_one_spike"]())
    assert found is not None
    assert (found.evidence["neighbours"], found.evidence["neighbours_median"]) == (8, 0.1)
    two_away = made_up(points=points_of(lambda fast, slow: 0.1 if max(abs(fast - 10), abs(slow - 30) // 2) == 2 else 1.2))
    assert CHECKS["luck_of_one_spike"](two_away) is None


def test_interest_that_takes_a_quarter_of_the_profit_is_found_too() -> None:
    def paying(frame: Frame) -> None:
        before = frame["net_profit"] - frame["swap"]
        frame["swap"] = -3.0
        earn(frame, before - 3.0)

    found = CHECKS["swap_share"](made_up(paying))
    assert found is not None
    assert "took 600.00 of" in found.finding


def test_positions_of_different_symbols_do_not_add_to_each_other() -> None:
    def two_symbols(frame: Frame) -> None:
        averaged_down(frame)
        frame["symbol"] = np.where(np.arange(len(frame)) % 2, "GBPUSD", "EURUSD")

    assert "averaging_down" in [one.code for one in diagnose(made_up(averaged_down))]
    assert "averaging_down" not in [one.code for one in diagnose(made_up(two_symbols))]

"""Every bound of every check, in one table; shares are fractions, `fewest` counts trades where a check says nothing below it."""

from __future__ import annotations

from typing import Final

BOUNDS: Final[dict[str, dict[str, float]]] = {
    # Where the profit is from.
    "few_trades": {"trades": 30},  # below it the standard error of a mean is too rough for any verdict
    "short_history": {"days": 250},  # one year of trading days: less has seen one kind of market
    "one_trade": {"share": 0.5},  # of the net profit in one trade
    "five_trades": {"count": 5, "share": 1.0},  # without them nothing is left
    "one_hour": {"share_of_trades": 0.5},  # an hour that holds more of the trades is the strategy's, not luck
    "one_weekday": {"share_of_trades": 0.5},
    "one_month": {"months": 6},  # fewer months cannot tell
    "one_side": {"share_of_trades": 0.2},  # the losing side is traded at least so often
    "falls_apart": {"days": 120, "first_sharpe": 1.0, "second_sharpe": 0.0},
    "tiny_wins": {"win_rate": 0.7, "loss_in_wins": 10.0},  # largest loss in average wins
    "losers_held": {"ratio": 2.0},  # median time of losers in that of winners
    "long_in_rising": {"side_share": 0.9, "correlation": 0.5},
    "smooth_returns": {"autocorrelation": 0.2, "errors": 2.0},  # of daily returns one day apart; a standard error is 1/sqrt(days)
    "luck_of_one_spike": {"share_of_best": 0.5, "best_sharpe": 0.5, "neighbours": 3},
    "edge_of_range": {"values": 3},
    # What it cost.
    "cost_break_even": {"times": 1.5},  # profit is gone when costs are so many times as high
    "swap_share": {"share": 0.25},  # of the net profit, or of the profit before interest where it is paid
    "no_commission": {},
    "no_spread": {},
    "no_slippage": {"share": 0.5},  # of exits by stop, or entries at market
    "one_spread": {},
    "targets_in_spread": {"spreads": 2.0, "share": 0.05},
    "stops_in_spread": {"spreads": 2.0, "share": 0.05},
    "wide_spread": {"times": 3.0, "share": 0.05},  # times the median spread of all bars
    "no_swap": {"share": 0.2},  # of trades held over the turn of the day
    # When it traded.
    "rollover_hour": {"share": 0.2, "hours": 1.0},  # around 17:00 New York; two hours of 24 are 8 %
    "weekend_holding": {"share": 0.1},
    "overnight_holding": {"share": 0.5},
    "within_one_bar": {"share": 0.1},
    "drawdown_open": {"depth": 0.02, "days": 30},
    "long_drawdown": {"share": 0.5, "depth": 0.02},
    "end_of_data": {"share": 0.25},  # of the net profit
    # What the bars were like.
    "flat_bars": {"share": 0.02},
    "gap_entries": {"share": 0.05},
    "poor_bars": {"score": 80.0},
    "released_bars": {},
    "old_rates": {"hours": 24.0},  # a fix is a day old at most on a weekday
    "trained_on": {},
    "warm_up": {"share": 0.2},
    # What the book did.
    "ruined": {"left": 0.0},
    "nearly_ruined": {"left": 0.5},
    "ambiguous": {"share": 0.02},
    "sign_of_resolution": {},
    "refused": {"share": 0.1},
    "margin_refused": {},
    "stop_out": {},
    "targets_never_hit": {"share": 0.01},
    "stops_never_hit": {"share": 0.01},
    "risk_per_trade": {"share": 0.02},  # of equity at the stop
    "large_loss": {"share": 0.1},  # of equity in one trade
    "leverage": {"times": 10.0},  # value of open positions in equity
    "martingale": {"ratio": 1.5, "share": 0.5},  # next size in the last one, after losses
    "averaging_down": {"share": 0.1},
    "smallest_lots": {"share": 0.5},
    "largest_lots": {"share": 0.05},
}

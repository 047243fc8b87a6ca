"""The 54 values of a Strategy Tester report, in the order in which it lists them, under our names."""

from __future__ import annotations

from typing import Final

# What a value looks like: "12.50", "12.50 (3.10%)", "3.10% (12.50)", "4 (36.67%)", "4 (130.86)", "130.86 (4)", "12.5%", "0:52:19", or words.
NAMES: Final[tuple[tuple[str, str], ...]] = (
    ("expert", "text"),
    ("symbol", "text"),
    ("period", "text"),
    ("inputs", "text"),
    ("company", "text"),
    ("currency", "text"),
    ("initial_deposit", "number"),
    ("leverage", "text"),
    ("history_quality", "text"),
    ("bars", "number"),
    ("ticks", "number"),
    ("symbols", "number"),
    ("total_net_profit", "number"),
    ("balance_drawdown_absolute", "number"),
    ("equity_drawdown_absolute", "number"),
    ("gross_profit", "number"),
    ("balance_drawdown_maximal", "money percent"),
    ("equity_drawdown_maximal", "money percent"),
    ("gross_loss", "number"),
    ("balance_drawdown_relative", "percent money"),
    ("equity_drawdown_relative", "percent money"),
    ("profit_factor", "number"),
    ("expected_payoff", "number"),
    ("margin_level", "percent"),
    ("recovery_factor", "number"),
    ("sharpe_ratio", "number"),
    ("z_score", "value percent"),
    ("ahpr", "value percent"),
    ("lr_correlation", "number"),
    ("on_tester_result", "number"),
    ("ghpr", "value percent"),
    ("lr_standard_error", "number"),
    ("total_trades", "number"),
    ("short_trades", "count percent"),
    ("long_trades", "count percent"),
    ("total_deals", "number"),
    ("profit_trades", "count percent"),
    ("loss_trades", "count percent"),
    ("largest_profit_trade", "number"),
    ("largest_loss_trade", "number"),
    ("average_profit_trade", "number"),
    ("average_loss_trade", "number"),
    ("maximum_consecutive_wins", "count money"),
    ("maximum_consecutive_losses", "count money"),
    ("maximal_consecutive_profit", "money count"),
    ("maximal_consecutive_loss", "money count"),
    ("average_consecutive_wins", "number"),
    ("average_consecutive_losses", "number"),
    ("correlation_profits_mfe", "number"),
    ("correlation_profits_mae", "number"),
    ("correlation_mfe_mae", "number"),
    ("minimal_holding_time", "text"),
    ("maximal_holding_time", "text"),
    ("average_holding_time", "text"),
)
# A workbook lists correlations and holding times before the counts of trades.
WORKBOOK_ORDER: Final = (*range(32), *range(48, 54), *range(32, 48))
INPUTS: Final = 3
ORDER_CELLS, DEAL_CELLS = 11, 13

"""Features of whole histories: the public call."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from components.features.catalogue import DEFAULT_FEATURES, distinct_names
from components.features.columns import bar_matrix, check_needs, compute_columns, needs_bars_only, plain_columns
from components.features.inputs import FeatureInputs
from components.features.names import parse_name
from components.features.panel import panel_columns


def compute_features(bars: pd.DataFrame, names: Iterable[str] | None = None, inputs: FeatureInputs | None = None) -> pd.DataFrame:
    """Features of every bar.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 5)
        A bars frame, as `components.fx.validate_bars` gives it: UTC open times, ``open high low close volume``, perhaps ``spread_points``.
    names : iterable of str, optional
        Which features, in which order (`parse_name`); `DEFAULT_FEATURES` by default.
    inputs : FeatureInputs, optional
        What some of them need besides: other symbols' bars, news.

    Returns
    -------
    DataFrame of float64, shape (n, len(names))
        Same index. Row t uses bars ≤ t and may be used from the close of bar t. NaN in the first `warmup_bars` rows of each column.

    Raises
    ------
    BadInput
        If a name is unknown or given twice, a column of `bars` is missing, or a feature needs what neither bars nor inputs give.
    """
    wanted = [parse_name(name) for name in distinct_names(DEFAULT_FEATURES if names is None else names)]
    data, open_ms = bar_matrix(bars)
    plain = plain_columns([name for name in wanted if needs_bars_only(name)])
    check_needs(plain, data)
    values = compute_columns(data, open_ms, plain)
    if len(plain) < len(wanted):
        rows = {column.name: row for column, row in zip(plain, values, strict=True)}
        rows |= panel_columns(bars, [name for name in wanted if not needs_bars_only(name)], inputs)
        values = np.vstack([rows[str(name)] for name in wanted])
    return pd.DataFrame(values.T, index=bars.index, columns=[str(name) for name in wanted], copy=False)


def compute_indicators(bars: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Indicators of every bar, at the price level, as charts and rules use them.

    Parameters
    ----------
    bars : DataFrame, shape (n, ≥ 5)
        As in `compute_features`.
    names : iterable of str
        Formula and periods, perhaps shifted: ``sma_20``, ``bollinger_upper_20_2``, ``macd_signal_12_26_9``, ``rsi_14.shift_1``; see
        `indicator_formulas`.

    Returns
    -------
    DataFrame of float64, shape (n, len(names))
        Same index. Row t uses bars ≤ t. NaN where no value is defined yet, as in TA-Lib; recursive ones have not forgotten their first bar
        by then (`settle_bars`).

    Raises
    ------
    BadInput
        If a name is unknown or given twice, or a column of `bars` is missing.

    Notes
    -----
    Windowed ones are exact to the last digits and do not depend on where the history begins, bit for bit; TA-Lib's running sums do.
    """
    wanted = distinct_names(names)
    data, open_ms = bar_matrix(bars)
    values = compute_columns(data, open_ms, plain_columns(wanted, is_indicator=True))
    return pd.DataFrame(values.T, index=bars.index, columns=wanted, copy=False)

"""Data Streams, last view: reference rates and news."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.base import now_ms
from components.fx import PlatformError
from components.pipeline import ReferenceRates, load_reference_rates, news_frame
from pages._shared import figures, stores
from pages._shared.parts import draw, missing, table, tell
from pages._shared.text import number, plural, utc

MOST_POINTS = 5_000


def show() -> None:
    """Rates of the European Central Bank, and tone and volume of news by currency."""
    _rates()
    _news()


def _rates() -> None:
    st.header("Reference rates", anchor=False)
    if not any(one.source == "ecb" for one in stores.pipeline().series()):
        missing("No reference rates are collected yet.", "Collect the source “ecb” in the view “sources”; they convert profit where no price does.")
        return
    try:
        rates = load_reference_rates(stores.home())
        left, right = st.columns(2)
        currencies = sorted(rates.currencies)
        source = left.selectbox("from currency", currencies, index=currencies.index("USD") if "USD" in currencies else 0, key="rates.from")
        target = right.selectbox("to currency", currencies, index=currencies.index("EUR") if "EUR" in currencies else 0, key="rates.to")
        if source == target:
            st.caption("Choose two different currencies.")
            return
        rate, fixed_ms = rates.rate(source, target, now_ms(), stale_days=36_500)
        st.caption(f"1 {source} = {number(rate, 5, target)}, fixed {utc(fixed_ms, False)} UTC by the European Central Bank; known only from then on.")
        draw(figures.lines_chart({f"{source}{target}": _series(rates, source, target)}, f"{target} per {source}"), "rates")
    except PlatformError as error:
        tell(error)


def _series(rates: ReferenceRates, source: str, target: str) -> pd.Series:
    """The fixes of a pair, each at its publication."""
    fixed = pd.DatetimeIndex(rates.per_euro.index).as_unit("ms").asi8[-MOST_POINTS:]
    values, _ = rates.rate(source, target, fixed + 3_600_000, stale_days=36_500)
    return pd.Series(values, index=pd.DatetimeIndex(fixed.astype("M8[ms]"), tz="UTC"))


def _news() -> None:
    st.header("News", anchor=False)
    series = [one for one in stores.pipeline().series() if one.source in ("gdelt", "gdelt_events")]
    currencies = sorted({one.symbol for one in series})
    if not currencies:
        missing(
            "No news are collected yet.",
            "Collect the source “gdelt” in the view “sources” for a currency: one request every five seconds is all it allows.",
        )
        return
    currency = st.selectbox("currency", currencies, key="news.currency")
    frame = news_frame(stores.home(), currency).tail(MOST_POINTS)
    if not len(frame):
        st.caption("What was collected holds no timeline of this currency.")
        return
    tone, volume = st.columns(2)
    with tone:
        draw(figures.lines_chart({"tone": frame["tone"].dropna()}, "average tone (GDELT points)"), "news.tone")
    with volume:
        draw(figures.lines_chart({"volume": frame["volume"].dropna()}, "volume (share of all articles, %)"), "news.volume")
    st.caption(f"{plural(len(frame), 'point')} by the time at which they could first be seen; a bucket without articles is absent, not zero.")
    newest = frame.tail(8).iloc[::-1]
    rows = [
        {"first seen (UTC)": utc(int(pd.Timestamp(str(seen)).timestamp() * 1000)), "tone": row["tone"], "volume": row["volume"]}
        for seen, row in newest.iterrows()
    ]
    table(rows, "news.newest")

"""Data Streams, last view: reference rates and news."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.base import now_ms
from components.pipeline import ReferenceRates, load_reference_rates, news_frame
from pages._shared import figures, stores
from pages._shared.parts import draw, missing, plain, table, told_errors
from pages._shared.text import plural, significant, utc

MOST_POINTS = 5_000


def show() -> None:
    """Rates of the European Central Bank, and tone and volume of news by currency."""
    _rates()
    _news()


def _rates() -> None:
    st.header("Reference rates", anchor=False)
    if not any(one.source == "ecb" for one in stores.pipeline().series()):
        missing(
            "No reference rates are collected yet.",
            "Collect the source “ecb” in the view “sources”; they convert profit where no price does. Until then those that come with the package serve.",
        )
    with told_errors():
        rates = load_reference_rates(stores.home())
        left, right = st.columns(2)
        currencies = sorted(rates.currencies)
        source = left.selectbox("from currency", currencies, index=currencies.index("USD") if "USD" in currencies else 0, key="rates.from")
        target = right.selectbox("to currency", currencies, index=currencies.index("EUR") if "EUR" in currencies else 0, key="rates.to")
        if source == target:
            st.caption("Choose two different currencies.")
            return
        rate, fixed_ms = rates.rate(source, target, now_ms(), stale_days=36_500)
        st.caption(
            f"1 {source} = {significant(rate, 6)} {target}, fixed by the European Central Bank and published {utc(fixed_ms, False)} UTC; "
            f"known only from then on. From {plain(rates.origin[:200])}."
        )
        draw(figures.lines_chart({f"{source}{target}": _series(rates, source, target)}, f"{target} per {source}"), "rates")


def _series(rates: ReferenceRates, source: str, target: str) -> pd.Series:
    """The fixes of a pair, each at its publication; days on which one of the two had none are left out."""
    euros = rates.per_euro.assign(EUR=1.0)
    return (euros[target] / euros[source]).dropna().tail(MOST_POINTS)


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
    counts_articles = any(one.source == "gdelt" and one.symbol == currency for one in series)
    unit = "% of all articles" if counts_articles else "events"
    for place, name, words in ((tone, "tone", "mean tone (points)"), (volume, "volume", f"volume ({unit})")):
        known = frame[name].dropna()
        with place:
            if len(known):
                draw(figures.lines_chart({name: known}, words), f"news.{name}")
            else:
                st.caption(f"No {name} is known.")
    st.caption(f"{plural(len(frame), 'point')} by the time at which they could first be seen; a bucket without articles is absent, not zero.")
    newest = frame.tail(8).iloc[::-1]
    rows = [
        {"first seen (UTC)": utc(int(pd.Timestamp(str(seen)).timestamp() * 1000)), "tone": row["tone"], "volume": row["volume"]}
        for seen, row in newest.iterrows()
    ]
    table(rows, "news.newest")

"""A model beside the rules that need none."""

from __future__ import annotations

import streamlit as st

from components.models import Model
from pages._shared import figures
from pages._shared.parts import draw, plain
from pages._shared.text import number, percent

LOSSES = {"log_loss": "model", "prior_log_loss": "class frequencies", "last_label_log_loss": "after last label", "hour_log_loss": "hour of day"}
HITS = {"accuracy": "model", "majority_accuracy": "most frequent class", "last_label_accuracy": "last label again"}


def show_baselines(model: Model, key: str) -> None:
    """Two charts: log loss and accuracy on the test part, the model and each naive rule; the best row is marked, whoever it is."""
    test = model.metrics.get("test", {})
    left, right = st.columns(2, gap="medium")
    with left:
        losses = {name: test[metric] for metric, name in LOSSES.items() if metric in test}
        best = min(losses, key=losses.__getitem__, default="")
        draw(figures.dots_chart(losses, "log loss on the test part (nats): further left is better", best=best), f"{key}.losses")
    with right:
        hits = {name: 100 * test[metric] for metric, name in HITS.items() if metric in test}
        best = max(hits, key=hits.__getitem__, default="")
        draw(figures.dots_chart(hits, "accuracy on the test part (%): further right is better", best=best, digits=1), f"{key}.hits")


def say_verdict(model: Model) -> None:
    """Say in words whether the model is better than having none."""
    test, cv = model.metrics.get("test", {}), model.metrics.get("cv", {})
    if "log_loss" not in test:
        st.warning("No test metrics are stored with this model.", icon=":material/warning:")
        return
    ahead = {"test": test["naive_log_loss"] - test["log_loss"], "cross-validation": cv.get("naive_log_loss", 0.0) - cv.get("log_loss", 0.0)}
    detail = ", ".join(f"{number(gain, 4, sign=True)} nats in {part}" for part, gain in ahead.items())
    about = plain(
        f"Log loss against the best naive rule: {detail} (plus is better). Right about the direction in {percent(test.get('direction_accuracy'), 1)} of moves."
    )
    if model.metrics.get("beats_baseline"):
        st.success(f"**This model is better than the naive baselines.** {about}", icon=":material/check:")
    else:
        st.warning(f"**This model does not beat the naive baselines: do not expect it to earn anything.** {about}", icon=":material/warning:")

"""Neural Networks: the job queue, training, models against naive baselines, the machine."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.base import now_ms
from components.jobs import Job
from components.models import Model
from components.training import TrainSpec
from pages._shared import queue, stores
from pages._shared.baselines import say_verdict, show_baselines
from pages._shared.forms import model_inputs
from pages._shared.machine import show_machine
from pages._shared.parts import missing, page, stated, table, told_errors
from pages._shared.text import number, pairs, percent, plural, span, utc


def main() -> None:
    """The page."""
    with page("Neural Networks", "jobs, training, models against naive baselines, the machine"):
        st.header("Job queue", anchor=False)
        _queue()
        _training()
        _models()
        st.header("Machine", anchor=False)
        show_machine("machine")


def _queue() -> None:
    is_busy = any(stores.jobs().list(state, 1) for state in ("queued", "running"))
    st.fragment(_draw_queue, run_every=queue.POLL_S if is_busy else 3.0)()


def _draw_queue() -> None:
    with told_errors():
        jobs = stores.jobs().list(limit=50)
        if not jobs:
            missing("No job has been submitted yet.", "Press “Collect” on the page Data Streams; training needs a dataset.")
            return
        active = [job for job in jobs if not job.is_over]
        queue.redraw_when_done(len(active))
        note = queue.worker_note() if active else None
        if note:
            st.warning(note, icon=":material/warning:")
        for job in reversed(active):
            queue.draw_cancellable(job)
        if not active:
            st.caption("Nothing waits and nothing runs.")
        table(
            [_job_row(job) for job in jobs],
            "jobs",
            most_rows=7,
            hide=("worker",),
            done=st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0),
            says=st.column_config.TextColumn(width=320),
        )
        failed = next((job for job in jobs if job.state == "failed"), None)
        if failed:
            with st.expander(f"Last failure: {failed.kind} at {utc(failed.finished_ms)} UTC"):
                st.code(failed.error or "no reason is known", language=None)


def _job_row(job: Job) -> dict[str, object]:
    end = job.finished_ms or now_ms()
    return {
        "submitted (UTC)": utc(job.submitted_ms),
        "kind": job.kind,
        "state": job.state,
        "done": job.progress,
        "says": job.message if job.state != "failed" else (job.error or "").split("\n")[0],
        "took": span(end - job.started_ms) if job.started_ms else "–",
        "attempts": f"{job.attempts} of {job.max_attempts}",
        "worker": ":".join((job.worker or "–").split(":")[:2]),
        "id": job.id,
    }


def _training() -> None:
    datasets = stores.pipeline().datasets()
    st.header("Train", anchor=False)
    if not datasets:
        missing("There is no dataset to train on.", "Press “Collect”, then “Build dataset” on the page Data Streams.")
        return
    by_id = {one.id: one for one in datasets}
    with st.form("train"):
        dataset_id = st.selectbox(
            "dataset", list(by_id), key="train.dataset",
            format_func=lambda id: f"{id[:16]}… · {by_id[id].symbol} {by_id[id].timeframe} · {plural(by_id[id].train_rows, 'training row')}, {plural(by_id[id].test_rows, 'test row')}",
        )  # fmt: skip
        values = model_inputs(TrainSpec, "train", hide=("dataset_id",))
        st.caption(
            "Purged cross-validation on the training part only; the test part is looked at once, at the end. Every fold is written to the trial ledger."
        )
        if st.form_submit_button("Train", type="primary", icon=":material/model_training:"):
            queue.submit("train", {"dataset_id": dataset_id, **values})
            st.rerun()
    queue.say_submitted("train")


def _models() -> None:
    st.header("Models", anchor=False)
    models = stores.models().list()
    if not models:
        missing("No model is trained yet.", "Press “Train” above.")
        return
    table([_model_row(one) for one in models], "models", hide=("family", "made (UTC)", "id"))
    by_name = {f"{one.name}:{one.version}": one for one in models}
    chosen = by_name[st.selectbox("model", list(by_name), key="model")] if len(models) > 1 else models[0]
    _model(chosen)


def _model_row(model: Model) -> dict[str, object]:
    test, cv = model.metrics.get("test", {}), model.metrics.get("cv", {})
    return {
        "model": f"{model.name}:{model.version}",
        "family": model.family,
        "bars": f"{model.symbol} {model.timeframe}",
        "beats naive": "yes" if model.metrics.get("beats_baseline") else "no",
        "test log loss (nats)": number(test.get("log_loss"), 4),
        "best naive (nats)": number(test.get("naive_log_loss"), 4),
        "cross-validation (nats)": number(cv.get("log_loss"), 4),
        "test accuracy": percent(test.get("accuracy"), 1),
        "trained until (UTC)": utc(model.trained_until_ms, False),
        "stage": model.stage,
        "made (UTC)": utc(model.created_ms),
        "id": model.id,
    }


def _model(model: Model) -> None:
    test, cv = model.metrics.get("test", {}), model.metrics.get("cv", {})
    st.subheader(f"{model.name}:{model.version} against naive baselines", anchor=False)
    say_verdict(model)
    show_baselines(model, "model")
    folds = model.metrics.get("folds", [])
    if folds:
        rows = [{"fold": str(place), **_fold_row(fold)} for place, fold in enumerate(folds, start=1)]
        table([*rows, {"fold": "mean", **_fold_row(cv)}, {"fold": "test", **_fold_row(test)}], "folds")
    importance = pd.Series(model.metrics.get("importance", {}), dtype=float).sort_values(ascending=False).head(10)
    with st.expander("What it was made of"):
        stated(
            {
                "model": f"{model.id}, {model.family}, made {utc(model.created_ms)} UTC",
                "dataset": model.dataset_id,
                "parameters": pairs({k: v for k, v in model.metrics.get("spec", {}).items() if k != "dataset_id"}),
                "strongest features": ", ".join(importance.index),
                "code version": str(model.metrics.get("code_version", "–")),
            }
        )


def _fold_row(part: dict[str, float]) -> dict[str, str]:
    return {
        "log loss (nats)": number(part.get("log_loss"), 4),
        "best naive (nats)": number(part.get("naive_log_loss"), 4),
        "better by (nats)": number(part["naive_log_loss"] - part["log_loss"], 4, sign=True) if "log_loss" in part else "–",
        "accuracy": percent(part.get("accuracy"), 1),
        "direction right": percent(part.get("direction_accuracy"), 1),
        "trained on (rows)": number(part.get("train_rows"), 0),
        "measured on (rows)": number(part.get("rows"), 0),
    }


main()

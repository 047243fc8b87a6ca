"""A run as files: trades and equity as CSV, what it was asked for and came to as JSON, and the HTML report beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from components.backtest.exports.html import html_report
from components.backtest.store import BacktestStore
from components.base import write_atomic
from components.fx import BadInput

FILES = ("trades.csv", "equity.csv", "run.json", "report.html")


def export_run(home: Path, run_id: str, folder: Path, *, overwrite: bool = False) -> dict[str, Path]:
    """Write a run's trades and equity as CSV, the run itself as JSON, and its HTML report.

    Times are ISO 8601 in UTC, prices and money plain numbers with a dot; blank where there is none.

    Parameters
    ----------
    home : Path
        Folder of the platform's databases and artefacts.
    run_id : str
    folder : Path
        Made where it is missing.
    overwrite : bool
        Whether files that are there may be replaced.

    Returns
    -------
    dict of str to Path
        ``trades.csv equity.csv run.json report.html`` and where they are.

    Raises
    ------
    NotFound
        If there is no such run, or its files are gone.
    BadInput
        If a file is there already.
    """
    folder = Path(folder)
    there = [name for name in FILES if (folder / name).exists()]
    if there and not overwrite:
        raise BadInput("folder", f"{folder / there[0]} is there already; name another folder, or allow it to be replaced")
    if folder.exists() and not folder.is_dir():
        raise BadInput("folder", f"{folder} is a file")
    store = BacktestStore.open(Path(home))
    try:
        run = store.run(run_id)
        trades, equity = store.trades(run.id), store.equity(run.id)
    finally:
        store.close()
    paths = {name: folder / name for name in FILES}
    write_atomic(paths["trades.csv"], _csv(trades))
    write_atomic(paths["equity.csv"], _csv(equity.reset_index()))
    write_atomic(paths["run.json"], json.dumps(vars(run), indent=2, ensure_ascii=False, allow_nan=False).encode())
    html_report(Path(home), run.id, paths["report.html"])
    return paths


def _csv(frame: pd.DataFrame) -> bytes:
    times = {name: frame[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in frame.columns if isinstance(frame[name].dtype, pd.DatetimeTZDtype)}
    return frame.assign(**times).to_csv(index=False, lineterminator="\n").encode()

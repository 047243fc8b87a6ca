"""What a worker can be asked to do here: payload in, plain answer out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.pipeline.collect import collect
from components.pipeline.dataset import build_dataset
from components.pipeline.recipe import DatasetRecipe, parse_payload


class CollectPayload(BaseModel):
    """Payload of a ``collect`` job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "sample"
    symbol: str = "EURUSD"
    timeframe: str = "H1"


class DatasetPayload(BaseModel):
    """Payload of a ``dataset`` job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bar_set_id: str
    recipe: DatasetRecipe = DatasetRecipe()


def collect_job(home: Path, payload: Mapping[str, Any], progress: Callable[..., None] | None = None) -> dict[str, Any]:
    """Collect bars; answers with the bar set's id, rows and quality score."""
    wanted = parse_payload(CollectPayload, payload)
    bar_set = collect(home, wanted.source, wanted.symbol, wanted.timeframe, progress)
    return {"bar_set_id": bar_set.id, "rows": bar_set.rows, "quality_score": bar_set.quality_score}


def dataset_job(home: Path, payload: Mapping[str, Any], progress: Callable[..., None] | None = None) -> dict[str, Any]:
    """Build a dataset; answers with its id and rows."""
    wanted = parse_payload(DatasetPayload, payload)
    dataset = build_dataset(home, wanted.bar_set_id, wanted.recipe, progress)
    return {"dataset_id": dataset.id, "train_rows": dataset.train_rows, "test_rows": dataset.test_rows}


job_functions: dict[str, Callable[[Path, Mapping[str, Any], Callable[..., None] | None], dict[str, Any]]] = {
    "collect": collect_job,
    "dataset": dataset_job,
}

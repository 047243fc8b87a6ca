"""Sources, quality, bars from ticks, and datasets frozen by content; the catalogue is ``data_pipeline.db``."""

from components.pipeline.calendar import Calendar
from components.pipeline.collect import collect, keep_bars
from components.pipeline.dataset import build_dataset, split_rows
from components.pipeline.quality import Gap, Quality, score_quality
from components.pipeline.recipe import BarSet, Dataset, DatasetFrames, DatasetRecipe, TripleBarrierTarget, parse_payload
from components.pipeline.sources import Source, fetch_bars, sources
from components.pipeline.store import PipelineStore, load_dataset
from components.pipeline.ticks import Bar, BarBuilder, bars_from_ticks, frame_of_bars

__all__ = [
    "Bar",
    "BarBuilder",
    "BarSet",
    "Calendar",
    "Dataset",
    "DatasetFrames",
    "DatasetRecipe",
    "Gap",
    "PipelineStore",
    "Quality",
    "Source",
    "TripleBarrierTarget",
    "bars_from_ticks",
    "build_dataset",
    "collect",
    "fetch_bars",
    "frame_of_bars",
    "keep_bars",
    "load_dataset",
    "parse_payload",
    "score_quality",
    "sources",
    "split_rows",
]

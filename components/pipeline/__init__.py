# ruff: noqa: F401
"""Sources, quality, bars from ticks, and datasets frozen by content; the catalogue is ``data_pipeline.db``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import lazy_front

if TYPE_CHECKING:
    from components.pipeline.broker_clock import BrokerClock, ClockCheck, ClockComparison, compare_clocks, confirm_clock, detect_day, infer_clock
    from components.pipeline.calendar import Break, Calendar, holidays_seen, infer_breaks
    from components.pipeline.clock_step import PieceClock, bar_set_clocks
    from components.pipeline.collect import Collected, collect, collect_series, keep_bars
    from components.pipeline.coverage import Coverage, coverage
    from components.pipeline.cross_check import CrossCheck, cross_check
    from components.pipeline.cross_step import cross_check_bar_set, record_checks
    from components.pipeline.dataset import build_dataset, freeze_dataset, load_dataset, load_transform
    from components.pipeline.dataset_diff import ColumnChange, DatasetDiff, RowsApart, diff_datasets
    from components.pipeline.dataset_rows import fit_on, split_rows, usable_rows
    from components.pipeline.derive import resample_bar_set
    from components.pipeline.export import Exported, export_dataset
    from components.pipeline.information_bars import (
        InformationBars,
        directional_change_bars,
        directional_change_builder,
        tick_bar_builder,
        tick_bars,
        volume_bar_builder,
        volume_bars,
    )
    from components.pipeline.intrinsic import intrinsic_bars, write_table
    from components.pipeline.lineage import refuse_quarantined_origins
    from components.pipeline.news import news_frame
    from components.pipeline.quality import Examiner, Gap, Part, Quality, Stretch, score_quality
    from components.pipeline.quality_parts import CROSS_PARTS, PARTS
    from components.pipeline.quarantine import Verdict, refuse_quarantined, verdict
    from components.pipeline.rates import ReferenceRates, load_reference_rates
    from components.pipeline.recipe import (
        TARGETS,
        BarSet,
        Dataset,
        DatasetFrames,
        DatasetRecipe,
        ForwardReturnTarget,
        MetaLabelTarget,
        Selection,
        Target,
        TrendScanTarget,
        TripleBarrierTarget,
    )
    from components.pipeline.repair import REPAIRS, Repair, propose_repairs, repair_bars
    from components.pipeline.repair_step import repair_bar_set
    from components.pipeline.sources import fetch_bars, source_named, source_names, sources
    from components.pipeline.sources.recognise import Recognised, recognise
    from components.pipeline.sources.source import KnownPiece, Piece, Request, Source, SourceContext, parsed_options
    from components.pipeline.store import PipelineStore, Series, StateChange, StoredPiece
    from components.pipeline.ticks import Bar, BarBuilder, bars_from_ticks, frame_of_bars
    from components.pipeline.transform import FittedTransform
    from components.pipeline.triangles import triangles_among, triangular_check, with_cross_checks

# Imported when first asked for: a fresh process must not pay for what it does not use.
__getattr__, __all__ = lazy_front(__name__, __file__)

"""What a comparison is asked for, as a job's payload holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from components.backtest.reports.clocks import clock_named
from components.fx import parse_payload

if TYPE_CHECKING:
    from components.pipeline import BrokerClock

Id = Annotated[str, Field(min_length=1, max_length=200)]


class ComparisonSpec(BaseModel):
    """A run of ours beside an imported report; parameters are those of `compare_with_report`, the clock as in `clock_named`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Id = Field(description="our run")
    report_run_id: Id = Field(description="the imported run")
    tolerance_bars: float = Field(3.0, gt=0, le=1_000, allow_inf_nan=False, description="bars that an entry may be away (bars)")
    price_tolerance: float = Field(0.005, gt=0, lt=1, allow_inf_nan=False, description="how far entry prices may be apart (share of the price)")
    clock: str | None = Field(None, max_length=20, description="the broker's clock, such as us:2; found from the trades where it is not named")

    @property
    def broker_clock(self) -> BrokerClock | None:
        """The clock that was named, None for none."""
        return clock_named(self.clock)


def parse_comparison(document: Mapping[str, Any]) -> ComparisonSpec:
    """A spec from a mapping.

    Raises
    ------
    BadInput
        Naming the first field that is wrong.
    """
    spec = parse_payload(ComparisonSpec, document, whole="comparison")
    clock_named(spec.clock)
    return spec

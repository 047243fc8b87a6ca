"""Which parameters vary and over what: inputs from the strategy's own bounds, for sweeps and walk-forwards."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from components.fx import BadInput
from components.strategy import Strategy
from pages._shared.forms import describe
from pages._shared.parts import plain

Document = dict[str, Any]
USUAL_VARYING = 2
USUAL_COUNT = 6
MOST_VARYING = 6


def varying(strategy: Strategy, key: str) -> list[str]:
    """The parameters that shall vary; the first two numbers of the strategy's own unless chosen otherwise."""
    fields = strategy.params.model_json_schema().get("properties", {})
    can = [name for name, spec in fields.items() if _can_vary(spec)]
    # What is the strategy's own before what it shares with others.
    own = [name for name in strategy.params.__annotations__ if name in can]
    numbers = [name for name in dict.fromkeys((*own, *can)) if fields[name].get("type") in ("integer", "number")]
    return st.multiselect(
        "parameters that vary", can, default=numbers[:USUAL_VARYING], max_selections=MOST_VARYING, key=f"{key}.varying.{strategy.name}"
    )


def ranges(strategy: Strategy, key: str, names: list[str]) -> Document:
    """The range of each of these parameters as a sweep takes it, from inputs within the strategy's bounds."""
    fields = strategy.params.model_json_schema().get("properties", {})
    found: Document = {}
    for name in names:
        spec, at = fields[name], f"{key}.{strategy.name}.{name}"
        words, *inputs = st.columns([1.6, 1, 1, 1, 2], vertical_alignment="bottom")
        words.markdown(f"**{plain(name.replace('_', ' '))}**", help=describe(spec))
        if spec.get("type") in ("integer", "number"):
            found[name] = _span(spec, at, inputs)
        else:
            values = list(spec["enum"]) if "enum" in spec else [False, True]
            with inputs[0]:
                found[name] = st.multiselect("values", values, default=values, key=f"{at}.values")
    return found


def _can_vary(spec: Document) -> bool:
    return spec.get("type") in ("integer", "number", "boolean") or "enum" in spec


def _span(spec: Document, at: str, inputs: list[Any]) -> Document:
    is_whole = spec["type"] == "integer"
    low, high = usual_span(spec)
    kind = int if is_whole else float
    step = 1 if is_whole else 10.0 ** math.floor(math.log10(max(abs(high - low), 1e-9) / 10))
    form = None if is_whole else "%.6g"
    first = inputs[0].number_input("from", value=kind(low), step=kind(step), format=form, key=f"{at}.low")
    last = inputs[1].number_input("to", value=kind(high), step=kind(step), format=form, key=f"{at}.high")
    count = inputs[2].number_input("values (count)", 1, 200, USUAL_COUNT, 1, key=f"{at}.count")
    told = spread_of(kind(first), kind(last), int(count), is_whole)
    inputs[3].caption(", ".join(f"{one:g}" for one in told[:12]) + (" …" if len(told) > 12 else ""))
    return {"low": first, "high": last, "count": int(count)}


def usual_span(spec: Document) -> tuple[float, float]:
    """From half of the default to twice of it, within the bounds."""
    start = float(spec.get("default") or 0.0)
    step = 1.0 if spec["type"] == "integer" else 0.0
    low = spec.get("minimum", spec.get("exclusiveMinimum"))
    high = spec.get("maximum", spec.get("exclusiveMaximum"))
    least = -math.inf if low is None else float(low) + (step or 0.05 * abs(start or 1.0)) * ("exclusiveMinimum" in spec)
    most = math.inf if high is None else float(high) - (step or 0.05 * abs(start or 1.0)) * ("exclusiveMaximum" in spec)
    ends = sorted((0.5 * start, 2.0 * start)) if start else (least if math.isfinite(least) else -1.0, most if math.isfinite(most) else 1.0)
    bottom, top = max(ends[0], least), min(ends[1], most)
    return (math.ceil(bottom), math.floor(top)) if step else (float(f"{bottom:.6g}"), float(f"{top:.6g}"))


def spread_of(low: float, high: float, count: int, is_whole: bool) -> list[float]:
    """The values of a grid along a range, as people should see them before they ask for it."""
    if count < 2 or high <= low:
        return [low]
    values = [low + (high - low) * place / (count - 1) for place in range(count)]
    return list(dict.fromkeys(float(round(one)) if is_whole else float(f"{one:.6g}") for one in values))


def refuse_nothing(names: list[str]) -> None:
    """Say that a range is missing where none was chosen.

    Raises
    ------
    BadInput
        If no parameter varies.
    """
    if not names:
        raise BadInput("ranges", "no parameter varies; choose at least one")

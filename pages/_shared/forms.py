"""A form from a pydantic model: one input per field, bounds, defaults and descriptions taken from the model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st
from pydantic import BaseModel

COLUMNS = 4


def model_inputs(
    model: type[BaseModel], key: str, *, hide: Collection[str] = (), start: Mapping[str, Any] | None = None, columns: int = COLUMNS
) -> dict[str, Any]:
    """Draw an input for every plain field and give what is in them.

    Parameters
    ----------
    model : type of BaseModel
        Numbers, texts, switches and choices are drawn; nested models and lists are left out.
    key : str
        Makes the inputs' keys unique.
    hide : collection of str
        Fields that are not drawn.
    start : mapping, optional
        Values to begin with instead of the model's defaults.
    columns : int
        Inputs side by side.

    Returns
    -------
    dict
        Values by field name, unchecked: the model checks them where they are used.
    """
    schema = model.model_json_schema()
    fields = {name: spec for name, spec in schema.get("properties", {}).items() if name not in hide and is_plain(spec)}
    places = st.columns(columns)
    given = dict(start or {})
    values: dict[str, Any] = {}
    for number, (name, spec) in enumerate(fields.items()):
        with places[number % columns]:
            values[name] = _input(name, spec, f"{key}.{name}", given.get(name, spec.get("default")))
    return values


def is_plain(spec: Mapping[str, Any]) -> bool:
    """Whether one input can hold the field: a number, a text, a switch or a choice."""
    return "enum" in spec or spec.get("type") in ("integer", "number", "boolean", "string")


def _input(name: str, spec: Mapping[str, Any], key: str, value: Any) -> Any:
    label, help_text = name.replace("_", " "), describe(spec)
    if "enum" in spec:
        options = list(spec["enum"])
        return st.selectbox(label, options, index=options.index(value) if value in options else 0, key=key, help=help_text)
    if spec["type"] == "boolean":
        return st.checkbox(label, bool(value), key=key, help=help_text)
    if spec["type"] == "string":
        return st.text_input(label, value or "", key=key, help=help_text)
    low, high = spec.get("minimum", spec.get("exclusiveMinimum")), spec.get("maximum", spec.get("exclusiveMaximum"))
    if spec["type"] == "integer":
        low = low + 1 if "exclusiveMinimum" in spec and low is not None else low
        return st.number_input(label, _int(low), _int(high), int(value if value is not None else low or 0), 1, key=key, help=help_text)
    start = float(value if value is not None else low or 0.0)
    step = _step(start, low, high)
    return st.number_input(label, _float(low), _float(high), start, step, format="%.6g", key=key, help=help_text)


def describe(spec: Mapping[str, Any]) -> str | None:
    """The field's description and its bounds, in words."""
    words = [str(spec["description"])] if spec.get("description") else []
    if "minimum" in spec or "exclusiveMinimum" in spec:
        words.append(f"from {spec['minimum']:g}" if "minimum" in spec else f"above {spec['exclusiveMinimum']:g}")
    if "maximum" in spec or "exclusiveMaximum" in spec:
        words.append(f"to {spec['maximum']:g}" if "maximum" in spec else f"below {spec['exclusiveMaximum']:g}")
    return ", ".join(words) or None


def _step(start: float, low: float | None, high: float | None) -> float:
    """A tenth of the value's own order of magnitude, so that a click changes it visibly."""
    size = abs(start) or (high - low if high is not None and low is not None else 1.0) / 10
    step = 1.0
    while step > size / 2:
        step /= 10
    return step


def _int(value: float | None) -> int | None:
    return None if value is None else int(value)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)

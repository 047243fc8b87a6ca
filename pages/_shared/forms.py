"""A form from a pydantic model: one input per field, bounds, defaults and descriptions taken from the model."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st
from pydantic import BaseModel

from components.fx import BadInput

COLUMNS = 4
LONGEST_UNIT = 18
NOTHING = (None, "", [], {})
Spec = Mapping[str, Any]


def model_inputs(
    model: type[BaseModel],
    key: str,
    *,
    hide: Collection[str] = (),
    only: Collection[str] | None = None,
    start: Mapping[str, Any] | None = None,
    columns: int = COLUMNS,
    everything: bool = False,
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
    only : collection of str, optional
        The fields that are drawn, where not all are.
    start : mapping, optional
        Values to begin with instead of the model's defaults.
    columns : int
        Inputs side by side.
    everything : bool
        Whether fields that may be empty, lists of texts and objects (written as JSON) are drawn too.

    Returns
    -------
    dict
        Values by field name, unchecked: the model checks them where they are used.

    Raises
    ------
    BadInput
        Naming a field whose JSON cannot be read.
    """
    schema = model.model_json_schema()
    fields = {
        name: shape(spec) if everything else spec
        for name, spec in schema.get("properties", {}).items()
        if name not in hide and (only is None or name in only) and (everything or is_plain(spec))
    }
    places = st.columns(columns)
    given = dict(start or {})
    values: dict[str, Any] = {}
    for number, (name, spec) in enumerate(fields.items()):
        with places[number % columns]:
            values[name] = _input(name, spec, f"{key}.{name}", given.get(name, spec.get("default")))
    return {name: _read(name, fields[name], value) for name, value in values.items()}


def changed(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not what the model takes by itself; an empty input is none."""
    fields = model.model_json_schema().get("properties", {})
    return {name: value for name, value in values.items() if value not in NOTHING and value != fields[name].get("default")}


def is_plain(spec: Spec) -> bool:
    """Whether one input can hold the field: a number, a text, a switch or a choice."""
    return "enum" in spec or spec.get("type") in ("integer", "number", "boolean", "string")


def shape(spec: Spec) -> dict[str, Any]:
    """The field as one input sees it; of one that may be empty what it is where it is not, with ``nullable``."""
    kinds = [one for one in spec.get("anyOf", ()) if one.get("type") != "null"]
    if len(kinds) != 1:
        return dict(spec)
    return {**kinds[0], **{name: value for name, value in spec.items() if name != "anyOf"}, "nullable": True}


def _input(name: str, spec: Spec, key: str, value: Any) -> Any:
    label, help_text = label_of(name, spec) if spec.get("type") in ("integer", "number") else name.replace("_", " "), describe(spec)
    if "enum" in spec:
        options = list(spec["enum"])
        first = None if spec.get("nullable") else 0
        return st.selectbox(
            label,
            options,
            index=options.index(value) if value in options else first,
            key=key,
            help=help_text,
            placeholder="none" if first is None else None,
        )
    if spec.get("type") == "array" and spec.get("items", {}).get("type") == "string":
        choices = list(spec["items"].get("enum", value or ()))
        return st.multiselect(label, choices, list(value or ()), key=key, help=help_text, accept_new_options="enum" not in spec["items"])
    if not is_plain(spec):
        return st.text_area(label, json.dumps(value) if value else "", key=key, help=help_text, placeholder="JSON", height=68)
    if spec["type"] == "boolean":
        return st.checkbox(label, bool(value), key=key, help=help_text)
    if spec["type"] == "string":
        return st.text_input(label, value or "", key=key, help=help_text)
    low, high = spec.get("minimum", spec.get("exclusiveMinimum")), spec.get("maximum", spec.get("exclusiveMaximum"))
    is_empty = value is None and bool(spec.get("nullable"))
    if spec["type"] == "integer":
        low = low + 1 if "exclusiveMinimum" in spec and low is not None else low
        begin = None if is_empty else int(value if value is not None else low or 0)
        return st.number_input(label, _int(low), _int(high), begin, 1, key=key, help=help_text, placeholder="none" if is_empty else None)
    start = float(value if value is not None else low or 0.0)
    step = _step(start, low, high)
    return st.number_input(label, _float(low), _float(high), None if is_empty else start, step, format="%.6g", key=key, help=help_text)


def _read(name: str, spec: Spec, value: Any) -> Any:
    """What an input holds as the model takes it."""
    if is_plain(spec) or not isinstance(value, str):
        return None if spec.get("nullable") and value == "" else value
    try:
        return json.loads(value) if value.strip() else None
    except json.JSONDecodeError as error:
        raise BadInput(name, f"is not JSON: {error}") from None


def describe(spec: Spec) -> str | None:
    """The field's description and its bounds, in words."""
    words = [str(spec["description"])] if spec.get("description") else []
    if "minimum" in spec or "exclusiveMinimum" in spec:
        words.append(f"from {spec['minimum']:g}" if "minimum" in spec else f"above {spec['exclusiveMinimum']:g}")
    if "maximum" in spec or "exclusiveMaximum" in spec:
        words.append(f"to {spec['maximum']:g}" if "maximum" in spec else f"below {spec['exclusiveMaximum']:g}")
    return ", ".join(words) or None


def label_of(name: str, spec: Spec) -> str:
    """The field's name in words, with the unit that its description ends with."""
    words = name.replace("_", " ")
    unit = str(spec.get("description", "")).rpartition(" (")[2] if str(spec.get("description", "")).endswith(")") else ""
    said = unit.removesuffix(")")
    return f"{words} ({said})" if unit and len(unit) <= LONGEST_UNIT and said not in words else words


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

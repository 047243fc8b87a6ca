"""The machine: dials of now and lines of the past, live."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components.base import now_ms
from components.jobs import HardwareReading, read_hardware
from pages._shared import figures, stores
from pages._shared.parts import draw, told_errors
from pages._shared.text import plural, size, utc

READ_EVERY_S = 2.0
FRESH_MS = 6_000
HISTORY = 600


def show_machine(key: str) -> None:
    """Dials of processor and memory (and graphics cards), and their history as the worker records it."""
    st.fragment(_draw_machine, run_every=READ_EVERY_S)(key)


def _draw_machine(key: str) -> None:
    with told_errors():
        history = stores.jobs().hardware_history(HISTORY)
        is_fresh = bool(history) and now_ms() - history[-1].time_ms < FRESH_MS
        reading = history[-1] if is_fresh else read_hardware(stores.home())
        _dials(reading, key)
        if len(history) > 1:
            draw(figures.lines_chart(_lines(history), "used (%)", height=210), f"{key}.history")
        else:
            st.caption("The history begins when a worker runs: it reads the machine every few seconds.")


def _dials(reading: HardwareReading, key: str) -> None:
    memory = 100.0 * reading.memory_used_bytes / reading.memory_total_bytes
    places = st.columns([1, 1, 1.4], vertical_alignment="center")
    with places[0]:
        draw(figures.gauge(reading.cpu_percent, f"processor, {plural(reading.cores, 'core')}"), f"{key}.cpu")
    with places[1]:
        used = f"{size(reading.memory_used_bytes)} of {size(reading.memory_total_bytes)}"
        draw(figures.gauge(memory, f"memory, {used}"), f"{key}.memory")
    with places[2]:
        for card in reading.gpus:
            busy = "–" if card.utilisation_percent is None else f"{card.utilisation_percent:.0f} %"
            heat = "" if card.temperature_c is None else f", {card.temperature_c:.0f} °C"
            st.metric(f"{card.name}{heat}", busy, border=True, help=f"memory {size(card.memory_used_bytes)} of {size(card.memory_total_bytes)}")
        if not reading.gpus:
            st.markdown(f"**No GPU.** {reading.gpu_note}")
        st.markdown(f"**Disk** {size(reading.disk_free_bytes)} free")
        st.caption(f"read at {utc(reading.time_ms)} UTC")


def _lines(history: list[HardwareReading]) -> dict[str, pd.Series]:
    times = pd.to_datetime([one.time_ms for one in history], unit="ms", utc=True)
    lines = {
        "processor": pd.Series([one.cpu_percent for one in history], times),
        "memory": pd.Series([100.0 * one.memory_used_bytes / one.memory_total_bytes for one in history], times),
    }
    for number, card in enumerate(history[-1].gpus):
        busy = [one.gpus[number].utilisation_percent if number < len(one.gpus) else None for one in history]
        lines[f"{card.name} {number}"] = pd.Series(busy, times, dtype=float)
    return lines

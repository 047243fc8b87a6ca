"""Readings of the machine; NVIDIA's library is replaced where the machine has none, our own code never."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from components.jobs import GpuReading, HardwareReading, read_hardware


def test_a_reading_is_plausible_and_survives_json() -> None:
    reading = read_hardware(window_s=0.01)
    assert 0 <= reading.cpu_percent <= 100
    assert reading.cores >= 1
    assert 0 < reading.memory_used_bytes < reading.memory_total_bytes
    assert reading.disk_free_bytes > 0
    assert bool(reading.gpus) != bool(reading.gpu_note), "either a GPU or a sentence that says why not"
    assert HardwareReading.from_document(reading.as_document()) == reading


def test_a_folder_that_does_not_exist_yet_counts_as_its_parent(tmp_path: Path) -> None:
    assert read_hardware(tmp_path / "a" / "b", window_s=0.01).disk_free_bytes > 0


def test_no_driver_is_a_normal_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    reading = read_hardware(window_s=0.01)
    assert reading.gpus == ()
    assert reading.gpu_note == "No NVIDIA driver on this machine; everything runs on the processor."


def test_a_driver_that_does_not_answer_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_loaded() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", not_loaded)
    reading = read_hardware(window_s=0.01)
    assert reading.gpus == ()
    assert reading.gpu_note.startswith("The NVIDIA driver does not answer")


def test_a_card_is_read_and_what_it_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_supported(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetName": lambda card: f"Card {card}",
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(used=1_000, total=8_000),
        "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=37) if card == 0 else not_supported(),
        "nvmlDeviceGetTemperature": lambda card, kind: 61,
    }.items():
        monkeypatch.setattr(pynvml, name, answer)
    reading = read_hardware(window_s=0.01)
    assert reading.gpus == (GpuReading("Card 0", 1_000, 8_000, 37.0, 61.0), GpuReading("Card 1", 1_000, 8_000, None, 61.0))
    assert reading.gpu_note == ""
    assert HardwareReading.from_document(reading.as_document()) == reading

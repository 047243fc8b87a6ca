"""Readings of the machine: processor, memory, disk and graphics cards. A machine without a GPU is a normal one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml

from components.base import now_ms
from components.fx import Unavailable

NO_DRIVER = "No NVIDIA driver on this machine; everything runs on the processor."


@dataclass(frozen=True)
class GpuReading:
    """One graphics card; None where the card does not tell.

    Parameters
    ----------
    name : str
    memory_used_bytes, memory_total_bytes : int or None
    utilisation_percent : float or None
        Share of the last sample period in which the card was busy, 0–100.
    temperature_c : float or None
        In degrees Celsius.
    """

    name: str
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    utilisation_percent: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class HardwareReading:
    """The machine at `time_ms` (epoch milliseconds UTC).

    Parameters
    ----------
    cpu_percent : float
        Share of all cores that was busy, 0–100.
    cores : int
        Logical cores that this process may use.
    memory_used_bytes, memory_total_bytes, disk_free_bytes : int
    gpus : tuple of GpuReading
        Empty where there is none.
    gpu_note : str
        A sentence that says why there is no GPU; empty where there is one.
    """

    time_ms: int
    cpu_percent: float
    cores: int
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    gpus: tuple[GpuReading, ...]
    gpu_note: str

    def as_document(self) -> dict[str, Any]:
        """The reading as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> HardwareReading:
        """The reading that `as_document` gave."""
        return cls(**{**document, "gpus": tuple(GpuReading(**gpu) for gpu in document["gpus"])})


def read_hardware(folder: Path = Path("."), window_s: float = 0.1) -> HardwareReading:
    """Read the machine now.

    Parameters
    ----------
    folder : Path
        The disk that holds it is the one whose free space is read; a folder that does not exist yet counts as its nearest parent.
    window_s : float
        How long the processor is watched, in seconds.

    Raises
    ------
    Unavailable
        If the disk cannot be read.
    """
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    try:
        disk = psutil.disk_usage(str(existing))
    except OSError as error:
        raise Unavailable(f"cannot read the disk of {existing}: {error.strerror}") from error
    memory = psutil.virtual_memory()
    gpus, note = _read_gpus()
    return HardwareReading(
        time_ms=now_ms(),
        cpu_percent=float(psutil.cpu_percent(interval=window_s)),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_used_bytes=int(memory.total - memory.available),
        memory_total_bytes=int(memory.total),
        disk_free_bytes=int(disk.free),
        gpus=gpus,
        gpu_note=note,
    )


def _read_gpus() -> tuple[tuple[GpuReading, ...], str]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return (), NO_DRIVER
    except pynvml.NVMLError as error:
        return (), f"The NVIDIA driver does not answer ({error}); everything runs on the processor."
    try:
        cards = tuple(_read_gpu(number) for number in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return (), f"The GPU cannot be read ({error})."
    finally:
        pynvml.nvmlShutdown()
    return cards, "" if cards else "The NVIDIA driver is installed but sees no GPU."


def _read_gpu(number: int) -> GpuReading:
    card = pynvml.nvmlDeviceGetHandleByIndex(number)
    name = pynvml.nvmlDeviceGetName(card)
    memory = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(card))
    rates = _told(lambda: pynvml.nvmlDeviceGetUtilizationRates(card))
    temperature = _told(lambda: pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU))
    return GpuReading(
        name=name.decode() if isinstance(name, bytes) else str(name),
        memory_used_bytes=None if memory is None else int(memory.used),
        memory_total_bytes=None if memory is None else int(memory.total),
        utilisation_percent=None if rates is None else float(rates.gpu),
        temperature_c=None if temperature is None else float(temperature),
    )


def _told(read: Callable[[], Any]) -> Any:
    """What `read` gives, or None: some cards, and parts of a shared one, do not tell everything."""
    try:
        return read()
    except pynvml.NVMLError:
        return None

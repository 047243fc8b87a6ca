"""The points of a sweep, measured beside each other: in threads, in processes, or on a Dask cluster."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from components.backtest.run import Runner
from components.backtest.sweep_points import PlannedPoint
from components.fx import BadInput, PlatformError, Unavailable
from components.strategy import Memo

Place = Literal["here", "threads", "processes", "dask"]
DAYS_PER_YEAR = 252.0
USUAL_BYTES = 256 * 2**20
"""Of shared indicators, in all processes of this machine together."""
DASK_WAIT_S = 10


@dataclass(frozen=True)
class SweptPoint:
    """One point that was run.

    Parameters
    ----------
    number : int
    params : dict
        As they were asked for, plain JSON.
    state : {'done', 'failed'}
    metrics : dict
        `Measured.stats` and ``calmar`` (return per year of 252 days over the largest drawdown, None without one), plain JSON; of a failed point
        ``error``, a sentence.
    daily : float64, shape (d,), or None
        Return of each trading day, of the same days for every point.
    """

    number: int
    params: dict[str, Any]
    state: Literal["done", "failed"]
    metrics: dict[str, Any]
    daily: NDArray[np.float64] | None


def run_sweep(
    runner: Runner,
    points: Iterable[Mapping[str, Any]],
    *,
    workers: int = 0,
    on_point: Callable[[SweptPoint], None] | None = None,
    dask: str | None = None,
) -> list[SweptPoint]:
    """Run a strategy with every one of many parameter sets over the same bars.

    Parameters
    ----------
    runner : Runner
    points : iterable of mapping
        Parameters that differ from the strategy's defaults.
    workers : int
        Points that run at once: threads, or processes where the strategy is plain Python. 0 for one on each core.
    on_point : callable, optional
        Is given each point as it is done, in the order in which they are done; what it raises ends the sweep.
    dask : str, optional
        Address of a Dask scheduler; its workers then do the points.

    Returns
    -------
    list of SweptPoint
        In the order of `points`. A point that cannot be run is ``failed``, with the reason; the others go on.

    Raises
    ------
    BadInput
        If `workers` is not a whole number of at least 0, or the strategy cannot be sent to other processes.
    Unavailable
        If the Dask cluster does not answer, or ``distributed`` is not installed.
    """
    planned = [PlannedPoint(number, dict(params)) for number, params in enumerate(points)]
    done: list[SweptPoint | None] = [None] * len(planned)
    with SweepCrew(runner, workers, dask) as crew, closing(crew.measured(planned)) as measured:
        for point in measured:
            done[point.number] = point
            if on_point is not None:
                on_point(point)
    return [point for point in done if point is not None]


def measure_point(runner: Runner, point: PlannedPoint) -> SweptPoint:
    """Run one point; whatever goes wrong in it is its own, because a try that fails is a try."""
    try:
        measured = runner.measure(point.params)
    except Exception as error:
        words = error.message if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        return SweptPoint(point.number, point.params, "failed", {"error": words}, None)
    stats = {**measured.stats, "calmar": calmar(measured.stats)}
    plain = {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in stats.items()}
    return SweptPoint(point.number, point.params, "done", plain, measured.daily)


def calmar(stats: Mapping[str, Any]) -> float | None:
    """Return per year of 252 trading days over the largest drawdown; None without a drawdown, without days, or after ruin.

    Source: Young (1991), Calmar Ratio: A Smoother Tool; over the whole span here, not over 36 months.
    """
    growth, days, fall = 1.0 + stats["total_return"], stats["days"], stats["max_drawdown"]
    if not fall or not days or growth <= 0:
        return None
    return float((growth ** (DAYS_PER_YEAR / days) - 1.0) / fall)


class SweepCrew:
    """Who does the points: made once for a sweep, asked for as many batches as it has. Use it in a ``with`` block.

    Parameters
    ----------
    runner : Runner
    workers : int
        As for `run_sweep`.
    dask : str, optional
        As for `run_sweep`.

    Attributes
    ----------
    place : {'here', 'threads', 'processes', 'dask'}
    workers : int
        Points that run at once; under Dask what the scheduler has is its own affair, and this is 0.
    """

    def __init__(self, runner: Runner, workers: int = 0, dask: str | None = None) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
            raise BadInput("workers", f"{workers!r} is not a whole number of at least 0; 0 takes every core")
        self.runner, self.dask = runner, dask
        self.workers = 0 if dask else workers or _cores()
        self.place: Place = "dask" if dask else "here" if self.workers == 1 else "processes" if runner.strategy.is_plain else "threads"
        self._open = ExitStack()
        self._measure: Callable[[PlannedPoint], SweptPoint]

    def __enter__(self) -> Self:
        with self._open:  # what is open is closed where the rest of it fails
            if self.place in ("here", "threads"):
                shared = sharing(self.runner)
                self._measure = lambda point: measure_point(shared, point)
            elif self.place == "processes":
                folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="sequence-sweep-")))
                (folder / "runner").write_bytes(_packed(self.runner))
                self._measure = _AtPath(str(folder / "runner"), USUAL_BYTES // self.workers)
            else:
                self._join_cluster()
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def measured(self, points: Iterable[PlannedPoint]) -> Generator[SweptPoint, None, None]:
        """The points as they are done, in any order; memory holds a few of them at a time. Close it where it is not asked to its end.

        Raises
        ------
        Unavailable
            If the processes or the cluster are lost.
        """
        if self.place == "here":
            yield from map(self._measure, points)
        elif self.place == "dask":
            yield from self._on_cluster(list(points))
        else:
            from joblib import Parallel, delayed
            from joblib.externals.loky.process_executor import TerminatedWorkerError

            backend = "threading" if self.place == "threads" else "loky"
            try:
                with Parallel(n_jobs=self.workers, backend=backend, return_as="generator_unordered", batch_size=1) as parallel:
                    results = parallel(delayed(self._measure)(point) for point in points)
                    try:
                        # Not `yield from`, which would close the results itself, outside of the block below.
                        for point in results:  # noqa: UP028
                            yield point
                    finally:
                        with warnings.catch_warnings():  # a sweep that is cancelled throws points away; joblib would warn of it
                            warnings.simplefilter("ignore")
                            results.close()
            except TerminatedWorkerError as error:
                raise Unavailable(f"a process of the sweep ended by itself, perhaps for want of memory; fewer workers need less ({error})") from error

    def _join_cluster(self) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise Unavailable(f"a Dask cluster is configured ({self.dask}), but distributed is not installed: pip install distributed") from None
        self._open.enter_context(_quiet())
        try:
            self._client = self._open.enter_context(Client(self.dask, timeout=DASK_WAIT_S, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"the Dask scheduler {self.dask} does not answer ({error}); unset SEQUENCE_DASK to sweep on this machine") from error
        packed = _packed(self.runner)
        try:
            self._there = self._client.scatter(_Sent(hashlib.sha256(packed).hexdigest(), packed), broadcast=True)
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                f"no worker of the Dask cluster {self.dask} took the bars ({error}); start workers, or unset SEQUENCE_DASK to sweep on this machine"
            ) from error

    def _on_cluster(self, points: list[PlannedPoint]) -> Iterator[SweptPoint]:
        from distributed import as_completed

        # Not pure: a point that is asked for again is run again, and its key says nothing about the one before.
        left = set(self._client.map(_measure_sent, points, sent=self._there, pure=False, batch_size=256))
        try:
            for future, point in as_completed(list(left), loop=self._client.loop, with_results=True, raise_errors=False):
                left.discard(future)  # and the cluster may forget its result
                if not isinstance(point, SweptPoint):  # a point's own failure is one; this is the cluster's
                    raise self._lost(point[1] if future.status == "error" else point)
                yield point
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from error
        finally:
            with suppress(Exception):  # a cluster that is lost cannot be told
                self._client.cancel(list(left))

    def _lost(self, error: BaseException) -> Unavailable:
        words = str(getattr(error, "msg", None) or getattr(error, "reason", None) or error).rstrip(".") or type(error).__name__
        return Unavailable(
            f"the Dask cluster {self.dask} was lost ({words}); start the sweep again when it is back, or unset SEQUENCE_DASK to sweep on this machine"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client's own words on a lost cluster out of the log: it is told in one sentence, not in tracebacks."""

    def is_told(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return record.levelno >= logging.CRITICAL or (record.name == loop and not isinstance(error, OSError))

    client, loop = "distributed.client", "tornado.application"
    for name in (client, loop):
        logging.getLogger(name).addFilter(is_told)
    try:
        yield
    finally:
        for name in (client, loop):
            logging.getLogger(name).removeFilter(is_told)


def sharing(runner: Runner, most_bytes: int = USUAL_BYTES) -> Runner:
    """The same runner, whose points share the indicators that they have in common, bit for bit the same numbers; `most_bytes` of them are kept."""
    twin = copy.copy(runner)
    twin.context = replace(runner.context, memo=Memo(runner.bars, most_bytes))
    return twin


@dataclass(frozen=True)
class _AtPath:
    """Measures points with the runner in a file, which each process reads once."""

    path: str
    most_bytes: int

    def __call__(self, point: PlannedPoint) -> SweptPoint:
        return measure_point(_runner_at(self.path, self.most_bytes), point)


@lru_cache(maxsize=1)
def _runner_at(path: str, most_bytes: int) -> Runner:
    return _unpacked(Path(path).read_bytes(), most_bytes)


@dataclass(frozen=True)
class _Sent:
    """A runner on its way to a worker of the cluster, with its digest, so that a worker need not read all of it for each point."""

    digest: str
    packed: bytes


_LAST: dict[str, Runner] = {}


def _measure_sent(point: PlannedPoint, sent: _Sent) -> SweptPoint:
    """On a worker of the cluster: unpack the runner once, keep the last one."""
    runner = _LAST.get(sent.digest)
    if runner is None:
        runner = _unpacked(sent.packed, USUAL_BYTES)
        _LAST.clear()
        _LAST[sent.digest] = runner
    return measure_point(runner, point)


def _packed(runner: Runner) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(runner))
    except (TypeError, AttributeError, pickle.PicklingError, ValueError) as error:
        raise BadInput("workers", f"strategy {runner.strategy.name!r} cannot be sent to other processes ({error}); use 1 worker") from error


def _unpacked(packed: bytes, most_bytes: int) -> Runner:
    runner: Runner = pickle.loads(packed)
    return sharing(runner, most_bytes)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

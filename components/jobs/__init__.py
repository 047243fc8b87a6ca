"""The queue of jobs, the worker's loop, and readings of the machine. Knows no job's meaning: kind → function is handed in from above."""

from components.jobs.hardware import GpuReading, HardwareReading, read_hardware
from components.jobs.job import JOB_STATES, Job, JobCancelled, JobState, Progress
from components.jobs.store import JobStore
from components.jobs.worker import JobFunction, run_worker

__all__ = [
    "JOB_STATES",
    "GpuReading",
    "HardwareReading",
    "Job",
    "JobCancelled",
    "JobFunction",
    "JobState",
    "JobStore",
    "Progress",
    "read_hardware",
    "run_worker",
]

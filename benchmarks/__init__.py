"""Figures to hold the platform against; every module of it starts with one thread each, set before numpy is imported."""

import os

for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)

"""What a process that has just begun loads, and what it leaves out."""

from __future__ import annotations

import os
import subprocess
import sys

from components.base import ROOT

IMPORT = "from components.backtest import run_backtest\nfrom components.strategy import strategy\n"
MATRICES = """
import sys
assert "scipy.linalg" not in sys.modules, "imported before anybody multiplies matrices"
import numpy as np
from numba import njit
@njit
def product(a):
    return np.dot(a, a)
print(product(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist())
"""
GARBAGE = """
import gc, weakref
class Node:
    pass
node = Node()
node.itself = node
seen = weakref.ref(node)
del node
gc.collect()
print(gc.isenabled(), seen() is None)
"""


def fresh(code: str) -> str:
    """What a new process prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", IMPORT + code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout.strip()


def test_scipy_waits_until_compiled_code_multiplies_matrices_and_then_it_does() -> None:
    assert fresh(MATRICES) == "[[7.0, 10.0], [15.0, 22.0]]"


def test_garbage_is_collected_once_the_imports_are_done() -> None:
    assert fresh(GARBAGE) == "True True"

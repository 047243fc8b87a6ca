"""Compiling ahead leaves nothing to compile."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest

from components.features import catalogue, compute_features, formulas
from components.features.catalogue import indicator_formulas
from components.features.warm import compile_kernels
from components.fx import BadInput


def signatures() -> dict[str, int]:
    """How many versions of each kernel there are in this process."""
    kernels = {}
    for formula in (*formulas(), *indicator_formulas()):
        kernel = formula.kernel.func if isinstance(formula.kernel, partial) else formula.kernel
        if hasattr(kernel, "signatures"):
            kernels[f"{formula.family} {formula.named()}"] = len(kernel.signatures)
    return kernels


@pytest.mark.slow
def test_every_kernel_is_compiled_ahead_and_real_bars_find_it_ready(bars: pd.DataFrame) -> None:
    assert compile_kernels(0, 2) + compile_kernels(1, 2) == len(formulas()) + len(indicator_formulas())
    ready = signatures()
    assert min(ready.values()) >= 1, [name for name, count in ready.items() if count == 0]
    compute_features(bars.iloc[:500], [feature.name for feature in catalogue() if not feature.needs & {"others", "news"}])
    assert signatures() == ready


def test_a_part_that_is_none_is_refused() -> None:
    for part, parts in ((1, 1), (-1, 2), (0, 0)):
        with pytest.raises(BadInput, match="is not one of"):
            compile_kernels(part, parts)

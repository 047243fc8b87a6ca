"""Scaling of features that hardly move."""

from __future__ import annotations

import numpy as np
import pytest

from components.pipeline.transform import fit_transform


def test_quartiles_that_differ_by_rounding_alone_are_no_scale() -> None:
    values = np.full(1_000, 0.3)
    values[::3] = 0.1 + 0.2  # the next float after 0.3
    values[:20] = np.linspace(0.0, 1.0, 20)
    transform = fit_transform("robust", {"share": values}, ["share"])
    assert transform.scale[0] == pytest.approx(values.std())
    assert abs(transform.column(0, np.array([0.31]))[0]) < 1.0

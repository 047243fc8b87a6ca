"""What the step trades, and what it only knows by its prices."""

from __future__ import annotations

import pytest

from components.execution import spec_rows
from components.fx import Refused, instrument


def test_a_metal_is_traded_like_a_pair() -> None:
    assert spec_rows([instrument("EURUSD"), instrument("XAUUSD")]).shape[0] == 2


def test_an_index_is_refused_by_name_before_any_bar() -> None:
    with pytest.raises(Refused, match="US30 is a cfd") as refused:
        spec_rows([instrument("US30")])
    assert refused.value.code == "not_tradable"

"""What pydantic refuses is said by the platform: the field, its value, what is wrong, and the names that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from components.fx import bad_input_of


@dataclass(frozen=True)
class Costs:
    spread: float = 0.0


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bars: int = Field(1, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner = Inner()
    costs: Costs = Costs()
    many: tuple[int, ...] = ()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "Bad":
            raise ValueError("name: Bad is not good")
        return name

    @model_validator(mode="after")
    def _fits(self) -> Outer:
        if len(self.many) > self.inner.bars:
            raise ValueError("more than bars")
        return self


@pytest.mark.parametrize(
    ("document", "prefix", "field", "message"),
    [
        ({}, "", "name", "is missing"),
        ({}, "params.", "params.name", "is missing"),
        ({"name": "Bad"}, "", "name", "'Bad': Bad is not good"),
        ({"name": "x", "inner": {"bars": 0}}, "p.", "p.inner.bars", "0: input should be greater than or equal to 1"),
        ({"name": "x", "speed": 1}, "", "speed", "is unknown; known are name, inner, costs, many"),
        ({"name": "x", "inner": {"speed": 1}}, "", "inner.speed", "is unknown; known are bars"),
        ({"name": "x", "costs": {"speed": 1}}, "", "costs.speed", "is unknown; known are spread"),
        ({"name": "x", "many": [1, "a"]}, "", "many.1", "'a': input should be a valid integer, unable to parse string as an integer"),
        ({"name": "x", "many": {}}, "", "many", "input should be a valid tuple"),
        ({"name": "x", "many": [1, 2]}, "", "whole", "more than bars"),
        ({"name": "x", "many": [1, 2]}, "params.", "params", "more than bars"),
        ({"name": "x", "inner": {"bars": "a" * 500}}, "", "inner.bars", f"'{'a' * 63}: input should be"),
    ],
)
def test_the_first_fault_is_named_with_its_field_and_value(document: dict[str, Any], prefix: str, field: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(document)
    found = bad_input_of(refused.value, prefix, Outer, "whole")
    assert found.field == field
    assert found.message.startswith(f"{field}: {message}")


def test_without_the_kind_an_unknown_field_is_unknown() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({"name": "x", "speed": 1})
    assert bad_input_of(refused.value).message == "speed: is unknown"

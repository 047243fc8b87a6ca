"""Registering, finding and staging models."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.fx import BadInput, NotFound
from components.models import Model, ModelStore


def register(store: ModelStore, name: str = "direction", content: bytes = b"tree", **changes: object) -> Model:
    entry: dict[str, object] = {
        "name": name,
        "family": "lightgbm",
        "dataset_id": "d1",
        "symbol": "EURUSD",
        "timeframe": "H1",
        "feature_names": ("rsi_14", "gap"),
        "trained_until_ms": 1_500_000_000_000,
        "metrics": {"test": {"log_loss": 1.0}},
        "content": content,
    }
    return store.register(**{**entry, **changes})  # type: ignore[arg-type]


def test_versions_are_counted_under_each_name(home: Path) -> None:
    store = ModelStore.open(home)
    made = [register(store, content=b"one"), register(store, content=b"two"), register(store, "other", b"one"), register(store, dataset_id="d2")]
    assert [(model.name, model.version) for model in made] == [("direction", 1), ("direction", 2), ("other", 1), ("direction", 3)]
    assert len({model.id for model in made}) == 4
    assert {model.id for model in store.list()} == {model.id for model in made}
    assert made[0].path.read_bytes() == b"one"
    assert made[0].stage == "candidate"
    assert made[0].feature_names == ("rsi_14", "gap")


def test_registering_the_same_model_again_gives_the_one_that_is_known(home: Path) -> None:
    first = register(ModelStore.open(home))
    assert register(ModelStore.open(home)) == first
    assert len(ModelStore.open(home).list()) == 1


def test_a_model_is_found_by_its_id_and_by_name_and_version(home: Path) -> None:
    store = ModelStore.open(home)
    model = register(store)
    assert store.get(model.id) == store.get("direction:1") == model
    for nothing in ("direction:2", "direction", "other:1", "", "direction:x", "direction:"):
        with pytest.raises(NotFound):
            store.get(nothing)


def test_making_a_model_live_retires_the_live_one_of_its_name_only(home: Path) -> None:
    store = ModelStore.open(home)
    first, second, other = register(store, content=b"1"), register(store, content=b"2"), register(store, "other")
    store.set_stage(first.id, "live")
    store.set_stage(other.id, "live")
    assert store.set_stage(second.id, "live").stage == "live"
    assert [store.get(model.id).stage for model in (first, second, other)] == ["retired", "live", "live"]
    with pytest.raises(BadInput, match="stage"):
        store.set_stage(first.id, "famous")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        store.set_stage("nothing", "live")


@pytest.mark.parametrize("name", ["", "Direction", "a b", "../x", "x" * 41, "a:1"])
def test_a_name_that_could_be_a_path_or_a_version_is_refused(name: str, home: Path) -> None:
    with pytest.raises(BadInput, match="name"):
        register(ModelStore.open(home), name)


def test_an_unknown_family_is_refused(home: Path) -> None:
    with pytest.raises(BadInput, match="family"):
        register(ModelStore.open(home), family="oracle")
    assert ModelStore.open(home).list() == ()

"""Tokens that earlier runs left: those of one engine in one precision stay apart from all others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.photos import SplitRow
from pcn_cli.stages.train import known
from pcn_cli.training.known_tokens import KnownPhoto

ROWS = [SplitRow(file=f"{n}.jpg", label="a", split="train", sha256=f"{n:064x}") for n in range(3)]
PHOTO = KnownPhoto(np.zeros((1, 2, 2, 3), np.float16), (8, 6))


@pytest.fixture
def opened(monkeypatch):
    """What is known of ROWS, where `engine` would be the one for so many photos and OpenVINO is there."""
    recipe = Recipe().replace({"data.size": 32})
    model, config = find_source("nano").start(("a", "b"), recipe, fetch=Fetcher(offline=True))
    monkeypatch.setattr(known, "is_openvino_here", lambda: True)
    monkeypatch.setattr(known, "version", lambda _: "1")

    def open_(engine="torch", *, rows=ROWS, precision="float32", asked=None):
        if engine is not None:
            monkeypatch.setattr(known, "settle_engine", lambda *_, **__: (engine, "so many photos"))
        wished = recipe.replace({"evaluate.engine": asked})
        facts = {"config": config, "recipe": wished, "device": torch.device("cpu"), "precision": precision}
        return known.open_known(model, rows, **facts)

    return open_


@pytest.mark.parametrize(("count", "engine"), [(1, "torch"), (2, "openvino")])
def test_the_engine_that_computed_most_photos_goes_on_and_none_reads_what_another_computed(opened, count, engine):
    for row in ROWS[:count]:
        opened("openvino").write(row, PHOTO)
    now = opened()
    assert set(now.engines.values()) == {engine}
    assert sum(map(now.holds, ROWS)) == (count if engine == "openvino" else 0)
    assert opened(asked="torch").engines["train"] == "torch"


def test_tokens_of_another_precision_are_not_known(opened):
    for row in ROWS:
        opened(precision="bfloat16").write(row, PHOTO)
    assert not any(map(opened().holds, ROWS))
    assert all(map(opened(precision="bfloat16").holds, ROWS))


def test_a_part_that_no_engine_computed_is_computed_by_that_of_the_others(opened):
    new = [replace(ROWS[0], split=part, sha256=f"{n:064x}") for n, part in enumerate(("val", "test"), start=9)]
    for row in ROWS:
        opened("openvino").write(row, PHOTO)
    assert set(opened(rows=[*ROWS, *new]).engines.values()) == {"openvino"}
    assert opened(rows=new).engines["train"] == "torch"


@pytest.mark.parametrize(
    ("settings", "pictures"),
    [({}, 8), ({"evaluate.folds": 3}, 10), ({"augment.flip": False}, 5), ({"evaluate.mirror": True}, 5)],
)
def test_a_picture_that_is_looked_at_mirrored_as_well_counts_twice(settings, pictures):
    rows = [*ROWS, *(replace(ROWS[0], split=part) for part in ("val", "test"))]
    assert known.count_seen(rows, Recipe().replace(settings)) == pictures


def test_many_photos_are_not_looked_at_mirrored_as_well(monkeypatch):
    monkeypatch.setattr(known, "MOST_MIRRORED", 2)
    assert known.count_seen(ROWS[:2], Recipe()) == 4
    assert known.count_seen(ROWS[:3], Recipe()) == 3


def test_the_engine_of_a_part_goes_by_its_own_pictures_of_which_mirrored_ones_to_learn_from_count(opened, monkeypatch):
    val = [replace(row, file=f"val {row.file}", split="val", sha256=row.sha256[::-1]) for row in ROWS]
    rows = [*ROWS, *val]

    def settle(*_, photos, **__):
        return ("openvino" if photos > len(ROWS) else "torch"), f"{photos} pictures"

    monkeypatch.setattr(known, "settle_engine", settle)
    found = opened(None, rows=rows)
    assert (found.engines["train"], found.engines["val"]) == ("openvino", "torch")
    assert found.reasons["train"] == f"{2 * len(ROWS)} pictures"
    for row in rows:
        found.write(row, PHOTO)
    again = opened(None, rows=rows)  # each engine has one half of them; both go on
    assert again.engines == found.engines
    assert all(map(again.holds, rows))

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcn_cli.records.attention import AttentionMaps
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.runs.attention import read_attention, write_attention

HIDING = ("evidence", "evidence_classes", "deletion", "insertion")
PLACEMENT = Placement(width=60, height=40, input_width=64, input_height=64, box=(10.25, 0, 50, 40))


def invent() -> AttentionMaps:
    rng = np.random.default_rng(0)
    return AttentionMaps(
        files=("a.jpg", "b\udce9.jpg"),
        looks=rng.dirichlet(np.ones(12), 2).reshape(2, 3, 4),
        placements=(PLACEMENT, replace(PLACEMENT, width=80)),
        patch_grid=PatchGrid(stride=32, offset=16),
        evidence=rng.normal(size=(2, 3, 3, 4)),
        evidence_classes=np.array([[4, 0, 2], [1, 3, 0]]),
        deletion=rng.random((2, 21)),
        insertion=rng.random((2, 21)),
    )


def test_maps_and_curves_come_back_to_half_precision(tmp_path: Path) -> None:
    looks = invent()
    write_attention(tmp_path / "attention.npz", looks)
    found = read_attention(tmp_path / "attention.npz")
    assert (found.files, found.placements, found.patch_grid) == (looks.files, looks.placements, looks.patch_grid)
    for name in ("looks", *HIDING):
        assert getattr(found, name) == pytest.approx(getattr(looks, name), rel=1e-3, abs=1e-6), name
    assert found.evidence_classes.dtype.kind == "i"


def test_a_file_of_an_older_version_has_looks_alone(tmp_path: Path) -> None:
    write_attention(tmp_path / "attention.npz", replace(invent(), **dict.fromkeys(HIDING)))
    found = read_attention(tmp_path / "attention.npz")
    assert found.looks.shape == (2, 3, 4)
    assert [getattr(found, name) for name in HIDING] == [None] * 4

from dataclasses import replace

import numpy as np
import pytest

from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionMaps
from pcn_cli.runs.predictions import write_attention
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.report import _find_maps

PLACE = Placement(width=64, height=64, input_width=64, input_height=64, box=(0, 0, 64, 64))
EVEN = AttentionMaps(
    files=("a.jpg", "b.jpg"), looks=np.full((2, 4, 4), 1 / 16), placements=(PLACE, PLACE), patch_grid=PatchGrid()
)
UNEVEN = EVEN.looks * np.linspace(0.9, 1.1, 16).reshape(4, 4)
OF_CLASSES = {
    "evidence": np.ones((2, 1, 4, 4)),
    "evidence_classes": np.zeros((2, 1), dtype=np.int64),
    "deletion": np.ones((2, 21)),
    "insertion": np.ones((2, 21)),
}


@pytest.mark.parametrize(
    ("maps", "shown"), [(EVEN, False), (replace(EVEN, looks=UNEVEN), True), (replace(EVEN, **OF_CLASSES), True)]
)
def test_maps_that_show_nothing_are_left_out_of_the_report(tmp_path, maps, shown):
    """Photos under an even look were only darker, and the mean maps of the classes squares of one colour."""
    run = RunDir(tmp_path)
    write_attention(run.attention, maps)
    assert (_find_maps(run) is not None) is shown

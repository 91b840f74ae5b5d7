"""The browser's maps against the same maps computed in Python."""

from pathlib import Path

import numpy as np
import pytest

import pcn_cli.report
from pcn_cli.attention.geometry import map_to_photo, mass_threshold
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.report.encoded_maps import as_text, decode_lift, encode_look
from pcn_cli.report.page_data import placed_look

STATIC = Path(pcn_cli.report.__file__).parent / "static"
PLACEMENTS = {
    "crop": Placement(width=300, height=200, input_width=224, input_height=224, box=(55, 5, 245, 195)),
    "pad": Placement(width=300, height=200, input_width=224, input_height=224, box=(0, -50, 300, 250)),
    "squash": Placement(width=200, height=300, input_width=224, input_height=160, box=(0, 0, 200, 300)),
}


@pytest.fixture
def script(browser):
    """A page in which the functions of the report's own script can be called."""
    page = browser.new_page()
    page.add_script_tag(content="".join((STATIC / f"{name}.js").read_text() for name in ("data", "maps")))
    yield page
    page.close()


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("patch_grid", [PatchGrid(), PatchGrid(stride=32, offset=16)])
@pytest.mark.parametrize("fit", PLACEMENTS)
def test_a_map_lies_where_the_geometry_says(script, fit, patch_grid, smooth):
    placement = PLACEMENTS[fit]
    stride = int(patch_grid.stride)
    grid = (placement.input_height // stride, placement.input_width // stride)
    values = np.random.default_rng(1).gamma(1, 1, grid)
    look = placed_look(encode_look(values), placement, patch_grid)
    width, height = 75, 50
    drawn = script.evaluate(
        """([look, width, height, smooth]) => Array.from(spread(decodeLift(look.map), look.grid,
            { width, height, start: look.start, step: look.step, smooth }))""",
        [look, width, height, smooth],
    )
    lift = decode_lift(encode_look(values))
    laid = map_to_photo(lift, patch_grid=patch_grid, placement=placement, size=(width, height), smooth=smooth)
    assert np.abs(np.array(drawn).reshape(height, width) - laid.values).max() < 1e-3
    left, top, right, bottom = look["seen"]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    seen = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None, :]
    assert (seen == laid.seen).all()


def test_contours_enclose_the_shares_of_the_look_that_they_promise(script):
    values = np.random.default_rng(2).gamma(1, 1, (14, 14))
    bytes_ = encode_look(values)
    placement = PLACEMENTS["crop"]
    for share in (0.5, 0.8):
        level = script.evaluate(
            "([map, share]) => massThreshold(decodeLift(map), [14, 14], share, true)", [as_text(bytes_), share]
        )
        patch_grid = PatchGrid(stride=16, offset=8)
        exact = mass_threshold(decode_lift(bytes_), share, patch_grid=patch_grid, placement=placement)
        assert level == pytest.approx(exact, rel=0.03)


def test_the_scale_is_clear_at_an_even_spread_and_full_at_the_reports_own_top(script):
    script.evaluate("() => { data = { full: 16 }; }")
    strengths = script.evaluate("[0, 0.5, 1, 4, 16, 99].map((lift) => strengthOf(lift))")
    assert strengths == pytest.approx([0, 0, 0, 0.5, 1, 1])

"""A report of a network that looks at every patch alike: the evidence is drawn, and nothing is checked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pcn_cli.report
from pcn_cli.metrics.trust import state_even_look
from pcn_cli.records.evaluation import Trust
from pcn_cli.report.write import write_report
from tests.report.conftest import Held

STATIC = Path(pcn_cli.report.__file__).parent / "static"


@pytest.fixture
def even(invent):
    """A report whose looks are the same everywhere."""
    base = invent(12)
    trust = Trust(sample=0, seed=0, checks=(state_even_look([True] * 12),))
    maps = replace(base.maps, looks=np.full_like(base.maps.looks, 1 / base.maps.looks[0].size))
    return replace(base, maps=maps, artifacts=Held({**base.artifacts, Trust: trust}))


def test_new_photos_whose_maps_nobody_checked_are_drawn_alike(even, photo, tmp_path):
    unchecked = replace(even, artifacts=even.artifacts.without(Trust))
    page = write_report(tmp_path / "report", unchecked, open_photo=photo).read_text(encoding="utf-8")
    assert "What speaks for the answer is bright, half of it inside the fine line" in page
    assert "attention lies inside the fine line" not in page


def test_pictures_are_drawn_by_what_speaks_for_the_answer(even, photo, visit, tmp_path):
    index = write_report(tmp_path / "report", even, open_photo=photo)
    page = index.read_text(encoding="utf-8")
    assert "What speaks for the answer is bright, half of it inside the fine line; the rest is a little darker." in page
    assert "where the model looked; what it passed over" not in page
    assert "The network looks at every tile alike, as average pooling does. So there is no look to check" in page
    assert "The maps pass" not in page
    assert "The mean map lies" not in page
    seen = visit(index, "#gallery")
    seen.go("#gallery?photo=0")
    assert seen.page.locator("#maps input:checked").get_attribute("value") == "evidence"
    assert seen.page.locator("#look-facts").is_hidden()


@pytest.mark.parametrize(("first", "lift"), [("evidence", [4, 0, 0, 0]), ("look", None)])
def test_a_tile_is_drawn_by_the_positive_evidence_where_the_look_says_nothing(browser, first, lift):
    page = browser.new_page()
    scripts = "".join((STATIC / f"{name}.js").read_text() for name in ("data", "maps", "signed", "tiles"))
    page.add_script_tag(content=f"{scripts}; data = {{ firstMap: '{first}' }};")
    drawn = page.evaluate(
        "(bytes) => Array.from(tileMap({ evidence: [[0, 2, btoa(String.fromCharCode(...bytes))]] }).lift ?? [])",
        [127, 0, 256 - 20, 256 - 127],  # +2, 0, a little against and -2
    )
    assert (drawn or None) == (None if lift is None else pytest.approx(lift))
    page.close()


def test_any_other_network_is_drawn_by_its_look(invent, photo, tmp_path):
    base = invent(12)
    index = write_report(tmp_path / "report", replace(base, artifacts=base.artifacts.without(Trust)), open_photo=photo)
    page = index.read_text(encoding="utf-8")
    assert (
        "Half of the model&#39;s attention lies inside the fine line; what it passed over is a little darker." in page
    )
    assert "The mean map lies" in page

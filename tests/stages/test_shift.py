import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import SHIFT
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.report import report

SMALL = {
    "tune": "probe",
    "settings": ["data.size=64", "explain.checks=0", "explain.overlays=0", "split.val=0.4", "split.test=0.3"],
}


def paint(folder, count, *, seed, dark=1.0):
    rng = np.random.default_rng(seed)
    for channel, label in enumerate(("blue", "green", "red")):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 120, (48, 48, 3)).astype(float)
            pixels[..., 2 - channel] += 100
            Image.fromarray((pixels * dark).astype(np.uint8)).save(folder / label / f"{label}-{number:02}.png")


class Notes(Callback):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


@pytest.fixture
def source(tmp_path):
    paint(tmp_path / "photos", 16, seed=0)
    return RunDir(pcn_cli.finetune(tmp_path / "photos", model="nano", **SMALL).run)


def test_new_photos_are_compared_with_those_that_the_run_was_measured_on(source, tmp_path):
    paint(tmp_path / "same", 10, seed=1)
    paint(tmp_path / "dark", 10, seed=2, dark=0.4)
    told, callback = {}, Notes()
    for name in ("same", "dark"):
        page = report(source.root, images=tmp_path / name, output=name, callback=callback)
        told[name] = SHIFT.read(RunDir(page.parent.parent))
        assert "Photos as before" in page.read_text() or name == "dark"
    assert not told["same"].found
    assert told["dark"].found
    assert told["dark"].differing[0].name in ("brightness", "contrast", "saturation", "sharpness")
    assert len(told["dark"].shows) == 12
    assert "so its figures may not hold" in callback.notes[-1]


def test_a_handful_of_photos_is_not_compared(source, tmp_path):
    paint(tmp_path / "few", 2, seed=1)
    page = report(source.root, images=tmp_path / "few", output="few")
    assert SHIFT.find(RunDir(page.parent.parent)) is None
    assert 'id="shift"' not in page.read_text()

"""A model that proves itself: it says what it said when it was saved, or the check fails."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.errors import DataError, ModelError, RecipeError
from pcn_cli.stages.inference.replay import PHOTOS, TOLERANCE, read_replay
from pcn_cli.stages.models import refuse_damaged, verify_models

CLASSES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """A folder with photos/ and a finished run/ on them, made once; tests work on copies."""
    folder, rng = tmp_path_factory.mktemp("module"), np.random.default_rng(0)
    for channel, label in enumerate(CLASSES):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(16):
            pixels = rng.integers(0, 120, (40 + number, 56, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 100
            Image.fromarray(pixels).save(folder / "photos" / label / f"{number}.jpg")
    settings = ["train.probe_epochs=2", "split.val=0.4", "explain.overlays=0"]
    options = {"model": tiny_weights, "tune": "probe", "size": 32, "settings": settings}
    pcn_cli.finetune(folder / "photos", output=folder / "run", **options)
    return folder


@pytest.fixture
def photos(finished: Path) -> Path:
    return finished / "photos"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "run", tmp_path / "run"))


def change(path: Path, edit) -> None:
    plain = json.loads(path.read_text(encoding="utf-8"))
    edit(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")


def verify(name: Path, images: Path | None = None) -> dict:
    (check,) = verify_models([str(name)], images=images)
    return check


def test_a_run_is_replayed_on_its_own_photos_and_keeps_none_of_them(run: Path, photos: Path) -> None:
    check = verify(run)
    assert (check["state"], check["photos"], check["known"], check["synthetic"]) == ("verified", 16, 16, False)
    assert check["largest_difference"] <= 1e-5 < TOLERANCE == check["tolerance"]
    replay = read_replay(run / "model")
    assert replay.classes == tuple(CLASSES)
    assert len(replay.photos) <= PHOTOS
    assert all((photos / photo.file).stat().st_size == photo.bytes for photo in replay.photos)
    text = (run / "model" / "replay.json").read_text(encoding="utf-8")
    assert str(photos) not in text
    assert not any(Path(photo.file).is_absolute() for photo in replay.photos)
    assert len(text) < 10_000
    assert {path.suffix for path in (run / "model").iterdir()} <= {".json", ".safetensors", ".md"}


def test_photos_are_found_by_their_content_wherever_they_lie(run: Path, photos: Path, tmp_path: Path) -> None:
    kept = read_replay(run / "model").photos
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    for number, photo in enumerate(kept[:4]):
        shutil.copy(photos / photo.file, elsewhere / f"renamed {number}.jpg")
    (elsewhere / "other.jpg").write_bytes(b"x" * kept[5].bytes)
    shutil.copytree(run / "model", tmp_path / "alone")
    check = verify(tmp_path / "alone", tmp_path / "elsewhere")
    assert (check["state"], check["photos"], check["known"]) == ("verified", 4, 16)


def test_without_photos_a_made_up_picture_is_replayed(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "alone")
    (tmp_path / "empty").mkdir()
    change(run / "run.json", lambda plain: plain.update(photos=str(tmp_path / "gone")))
    for check in (verify(run), verify(tmp_path / "alone"), verify(tmp_path / "alone", tmp_path / "empty")):
        assert (check["state"], check["photos"], check["synthetic"]) == ("verified", 0, True)
        assert check["largest_difference"] <= 1e-5


@pytest.mark.parametrize("with_photos", [True, False])
@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("interpolation", lambda plain: plain["preprocessing"].update(interpolation="bilinear")),
        ("mean", lambda plain: plain["preprocessing"].update(mean=[0.5, 0.5, 0.5])),
        ("crop", lambda plain: plain["preprocessing"].update(crop_pct=0.8)),
        ("fit", lambda plain: plain["preprocessing"].update(fit="squash")),
        ("class order", lambda plain: plain["classes"].reverse()),
        ("temperature", lambda plain: plain.update(temperature=1.5)),
    ],
)
def test_a_changed_config_is_told_by_the_scores(
    run: Path, photos: Path, tmp_path: Path, with_photos: bool, name: str, edit
) -> None:
    shutil.copytree(run / "model", tmp_path / "alone")
    change(tmp_path / "alone" / "config.json", edit)
    check = verify(tmp_path / "alone", photos if with_photos else None)
    assert check["synthetic"] is not with_photos
    assert check["state"] == "damaged"
    assert check["largest_difference"] > TOLERANCE
    with pytest.raises(ModelError, match="does not prove itself: its log-probabilities differ by up to"):
        refuse_damaged([check])


def test_one_changed_byte_of_the_weights_is_told(run: Path) -> None:
    weights = run / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    check = verify(run)
    assert (check["state"], check["largest_difference"]) == ("damaged", None)
    with pytest.raises(ModelError, match=r"model\.safetensors was changed: its sha256 is [0-9a-f]{64}, written was"):
        refuse_damaged([check])


def test_other_classes_are_told(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "alone")
    change(tmp_path / "alone" / "config.json", lambda plain: plain.update(classes=["blue", "green", "pink"]))
    assert verify(tmp_path / "alone")["problem"] == "its classes are blue, green, pink, written were blue, green, red"


def test_a_run_s_config_may_not_differ_from_what_it_recorded(run: Path) -> None:
    change(run / "model" / "config.json", lambda plain: plain.update(licence="mine"))
    check = verify(run)
    assert check["state"] == "damaged"
    assert "config.json is damaged or was changed" in check["problem"]


def test_what_cannot_be_replayed_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of photos"):
        verify(run, tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="--images has no effect without a run or a model folder"):
        verify_models(["nano"], images=tmp_path)
    replay = run / "model" / "replay.json"
    replay.write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"replay\.json is damaged"):
        verify(run)
    replay.unlink()
    with pytest.raises(ModelError, match=r"has no replay\.json, so there is nothing to replay"):
        verify(run)

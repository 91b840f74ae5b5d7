"""What cannot work is said at once: before torch is imported, and before a photo is opened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pcn_cli.errors import DataError, DownloadError, ModelError, ResourceError, RunError
from pcn_cli.models.zoo import CARDS
from pcn_cli.records.codec import field_names
from pcn_cli.records.run import RunRecord
from pcn_cli.stages.refusals import refuse_early

HASTY = """
import sys
from pcn_cli.cli.app import main
sys.argv = ["pcn", *sys.argv[1:]]
try:
    main()
finally:
    print("heavy" if {"torch", "timm", "sklearn"} & sys.modules.keys() else "light")
"""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("finetune", "nowhere"), 3, "no such folder of photos: nowhere"),
        (("finetune", "letter"), 3, "letter is a file, not a folder"),
        (("finetune", "d", "--output", "taken"), 8, "taken is there already"),
        (("finetune", "d", "--output", "letter"), 6, "letter is a file, not a folder"),
        (("finetune", "d", "--output", "letter/run"), 6, "letter is a file, not a folder"),
        (("finetune", "d", "--output", "d/run"), 6, "--output FOLDER"),
        (("finetune", "d", "--device", "gpu"), 6, "no kind of device called 'gpu'"),
        (("finetune", "d", "--model", "runs/nothing"), 4, "no file or folder runs/nothing"),
        (("finetune", "d", "--model", "timm:local-dir:nothing"), 4, "no file or folder nothing"),
        (("finetune", "d", "--model", "resnet50"), 4, "for a network of timm write timm:resnet50"),
        (("bench", "--model", "efficientnet_b0"), 4, "there is no model called 'efficientnet_b0'"),
        (("predict", "a.jpg", "--model", "vit"), 4, "write timm:vit"),
        (("finetune", "d", "--labels", "nothing.csv"), 3, "no table nothing.csv"),
        (("inspect", "nowhere"), 3, "no such folder"),
        (("predict", "a.jpg", "--model", "nothing.safetensors"), 4, "no file or folder"),
        (("predict", "a.jpg", "--device", "cuda0"), 6, "no kind of device"),
        (("evaluate", "--images", "nowhere"), 3, "no such folder"),
        (("evaluate", "--device", "GPU"), 6, "no kind of device"),
        (("report", "--device", "tpu"), 6, "no kind of device"),
        (("bench", "--device", "0"), 6, "no kind of device"),
        (("demo", "--device", "gpu"), 6, "no kind of device"),
        (("finetune", "d", "--offline"), 5, "pcn models import s60_224_21k.pth s60; or --model nano"),
        (("finetune", "d", "--model", "nano", "--set", "train.teacher=b60", "--offline"), 5, "models import b60_224"),
        (("finetune", "d", "--model", "hf:some/body", "--offline"), 5, "try: hf download some/body"),
        (("finetune", "d", "--model", "timm:resnet50", "--offline"), 5, "timm:resnet50:FILE.safetensors"),
        (("predict", "a.jpg", "--model", "s60-384", "--offline"), 5, "pcn models import s60_384_21k.pth s60-384"),
        (("embed", "a.jpg", "--model", "hf:some/body", "--offline"), 5, "hf download some/body"),
    ],
)
def test_a_command_that_cannot_work_ends_before_torch_is_imported(tmp_path, monkeypatch, words, code, said):
    """Seen: an --output that exists was refused after all photos were scanned."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    here = tmp_path / "here"
    for name in ("taken", "d"):
        (here / name).mkdir(parents=True)
    (here / "letter").touch()
    (here / "taken" / "mine.txt").touch()
    result = subprocess.run(
        [sys.executable, "-c", HASTY, *words], cwd=here, capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert result.stdout == "light\n"
    assert sorted(path.name for path in here.rglob("*")) == ["d", "letter", "mine.txt", "taken"]


def test_no_card_is_refused_early():
    names = [name for card in CARDS for name in (card.name, *card.aliases, card.full_name, card.network.architecture)]
    assert len(names) > 20
    refuse_early(models=[*names, *(name.upper() for name in names)])


def test_weights_that_are_in_a_cache_are_not_refused_offline(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("some--body", "timm--resnet18.a1_in1k"):
        place = tmp_path / f"models--{name}" / "snapshots" / "0"
        place.mkdir(parents=True)
        (place / "model.safetensors").touch()
    here = ("nano", "./s60", "hf:some/body", "hf:some/body@main", "timm:resnet18", "timm:resnet50:a.safetensors", None)
    refuse_early(weights=here, offline=True)
    refuse_early(weights=["timm:resnet50", "s60"])
    with pytest.raises(DownloadError, match="offline, and hf:some/other"):
        refuse_early(weights=["hf:some/other"], offline=True)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "CPU", "tpu", "", "cpu "])
def test_a_device_that_is_none(name):
    with pytest.raises(ResourceError, match="there is no kind of device"):
        refuse_early(device=name)


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is")
def test_a_device_of_other_machines():
    with pytest.raises(ResourceError, match="the device mps is not here"):
        refuse_early(device="mps")


@pytest.mark.parametrize(
    "name",
    ["split.csv", "scan.json", "run.log", "unreadable.csv", "models.json", "recipe.yaml", "photo.jpg"],
)
def test_a_file_of_somebody_else_is_never_written_over(tmp_path, name):
    """Seen: a folder with nothing but somebody's own split.csv was taken for a run, and the table replaced."""
    place = tmp_path / "place"
    place.mkdir()
    (place / name).write_text("file,split\na.jpg,mine\n")
    with pytest.raises(RunError, match=f"is there already, with {name} in it") as caught:
        refuse_early(output=place)
    assert caught.value.hint == "choose another place with --output FOLDER"


@pytest.mark.parametrize("record", ['{"status": "running", "mine": 1}', "[1, 2]", "no json", '"text"'])
def test_somebody_else_s_run_json_makes_no_run(tmp_path, record):
    place = tmp_path / "place"
    place.mkdir()
    (place / "run.json").write_text(record)
    (place / "split.csv").write_text("file,split\n")
    with pytest.raises(RunError, match="is there already"):
        refuse_early(output=place)


def test_what_is_left_of_a_run_without_a_plan_is_taken_over(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps(dict.fromkeys(field_names(RunRecord), "")))
    for name in (".lock", ".lock-owner", "scan.json", "run.log", ".1234.part.csv"):
        (run / name).touch()
    refuse_early(output=run)
    (run / "recipe.yaml").touch()
    with pytest.raises(RunError, match="is there already") as caught:
        refuse_early(output=run)
    assert caught.value.hint.startswith(f"pcn finetune --resume {run} goes on with it")


def test_what_is_there_is_not_refused(tmp_path, photo_folder):
    (tmp_path / "labels.csv").touch()
    (tmp_path / "m.safetensors").touch()
    (tmp_path / "empty").mkdir()
    refuse_early(
        photos=photo_folder,
        output=tmp_path / "empty",
        models=["s60", "timm:resnet50", "s61", str(tmp_path / "m.safetensors"), f"timm:local-dir:{tmp_path}"],
        tables=[tmp_path / "labels.csv", None],
        device="cpu",
    )
    refuse_early(output=tmp_path / "new" / "run")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"photos": "x\0y"}, (DataError, ValueError)),
        ({"photos": "a" * 5000}, DataError),
        ({"tables": [Path("/dev/null")]}, DataError),
        ({"models": ["~/nothing/at/all"]}, ModelError),
    ],
)
def test_odd_names_are_refused_in_words(options, kind):
    with pytest.raises(kind):
        refuse_early(**options)

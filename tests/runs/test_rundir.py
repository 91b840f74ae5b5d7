from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from pcn_cli.errors import RunError
from pcn_cli.runs.rundir import Artifact, RunDir, list_runs, new_run_dir, open_run, set_latest, slug

ARTIFACTS = [name for name, kind in vars(RunDir).items() if isinstance(kind, Artifact)]


def make_run(root: Path) -> RunDir:
    root.mkdir(parents=True)
    (root / "run.json").write_text("{}")
    return RunDir(root)


def test_every_artifact_lies_in_the_run_under_a_name_of_its_own() -> None:
    paths = [getattr(RunDir(Path("run")), name) for name in ARTIFACTS]
    assert len(set(paths)) == len(paths) >= 20
    assert all(Path("run") in path.parents for path in paths)


def test_a_run_folder_never_changes_its_place() -> None:
    with pytest.raises(FrozenInstanceError):
        RunDir(Path("run")).root = Path("other")


@pytest.mark.parametrize(
    ("photos", "model", "name"),
    [
        ("flowers5", "s60", "flowers5-s60-1"),
        ("../shared/data/flowers5/", "timm:local-dir:../weights/mobilenetv2_100", "flowers5-mobilenetv2_100-1"),
        ("my photos", "timm:resnet50.a1_in1k", "my-photos-resnet50.a1_in1k-1"),
        ("фото", "nano", "photos-nano-1"),
        ("shapes", "runs/flowers5-s60-1", "shapes-flowers5-s60-1-1"),
    ],
)
def test_a_new_run_is_named_after_photos_and_model(tmp_path: Path, photos: str, model: str, name: str) -> None:
    assert new_run_dir(photos, model, runs=tmp_path).root == tmp_path / name


def test_a_new_run_takes_the_first_free_number_and_makes_nothing(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        make_run(tmp_path / f"a-s60-{number}")
    assert new_run_dir("a", "s60", runs=tmp_path).root.name == "a-s60-3"
    assert not (tmp_path / "a-s60-3").exists()
    assert new_run_dir("a", "s60", runs=tmp_path / "none").root.name == "a-s60-1"


@pytest.mark.parametrize("text", ["../../etc", "a/b\\c", ".hidden", "x" * 300, "a\nb", "", "...", "-rf"])
def test_a_slug_is_one_harmless_file_name(text: str) -> None:
    name = slug(text)
    assert name
    assert len(name) <= 40
    assert name[0] not in ".-"
    assert not set(name) & set("/\\\n")


def test_without_a_run_the_newest_finished_one_is_opened(tmp_path: Path) -> None:
    make_run(tmp_path / "a-1")
    set_latest(make_run(tmp_path / "b-1"), runs=tmp_path)
    assert open_run(None, runs=tmp_path).root == tmp_path / "b-1"
    assert open_run(tmp_path / "a-1", runs=tmp_path).root == tmp_path / "a-1"


def test_a_run_kept_elsewhere_can_be_the_latest(tmp_path: Path) -> None:
    run = make_run(tmp_path / "elsewhere" / "mine")
    (tmp_path / "runs").mkdir()
    set_latest(run, runs=tmp_path / "runs")
    assert open_run(None, runs=tmp_path / "runs").root == run.root


def test_where_there_is_no_run_the_command_to_make_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no finished run yet") as caught:
        open_run(None, runs=tmp_path)
    assert caught.value.exit_code == 8
    assert "pcn finetune PHOTOS" in caught.value.hint


def test_a_latest_run_that_is_gone_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("gone-1\n")
    with pytest.raises(RunError, match="gone-1"):
        open_run(None, runs=tmp_path)


@pytest.mark.parametrize("name", ["nothing", "folder", "file"])
def test_what_is_no_run_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=f"{name} is not a run folder: it has no run.json"):
        open_run(tmp_path / name)


def test_runs_are_listed_by_name_and_other_folders_are_not(tmp_path: Path) -> None:
    for name in ("b-1", "a-10", "a-2"):
        make_run(tmp_path / name)
    (tmp_path / "no-run").mkdir()
    assert [run.root.name for run in list_runs(tmp_path)] == ["a-2", "a-10", "b-1"]
    assert list_runs(tmp_path / "none") == []

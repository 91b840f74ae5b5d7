"""Going on from a run: photos that it knows keep their parts, and what it learned from is never a test photo untold."""

import shutil

import numpy as np
import pytest
from PIL import Image

import pcn_cli
from pcn_cli.errors import RecipeError, RunError
from pcn_cli.runs.rundir import RunDir, find_maker
from pcn_cli.runs.store import read_recipe, read_split
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.report import report

OPTIONS = {"tune": "probe", "size": 32, "settings": ["explain.checks=0", "explain.overlays=0"]}


def parts(run):
    return {row.sha256: row.split for row in read_split(RunDir(run))}


def draw(folder, count, *, seed, tint=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 120, (48, 48 + number, 3), dtype=np.uint8)
        pixels[..., tint] += 100
        Image.fromarray(pixels).save(folder / f"new{seed}-{number:02}.png")


@pytest.fixture
def first(photo_folder):
    """A run of 36 photos."""
    return pcn_cli.finetune(photo_folder, model="nano", **OPTIONS).run


def overview(run):
    return (run / "report" / "index.html").read_text()


@pytest.mark.parametrize("name", ["run", "model folder"])
@pytest.mark.parametrize("seed", [0, 5])
def test_photos_that_the_start_knows_keep_their_parts_and_new_ones_are_divided(photo_folder, first, name, seed):
    before = parts(first)
    shutil.move(photo_folder / "red" / "03.jpg", photo_folder / "red" / "renamed.jpg")
    draw(photo_folder / "red", 12, seed=1, tint=0)
    draw(photo_folder / "white", 9, seed=2, tint=1)  # another class
    shutil.rmtree(photo_folder / "blue")  # one class less
    start = first if name == "run" else first / "model"
    outcome = pcn_cli.finetune(photo_folder, model=str(start), seed=seed, **OPTIONS)
    after = parts(outcome.run)
    assert {sha: part for sha, part in after.items() if sha in before} == {
        sha: part for sha, part in before.items() if sha in after
    }
    new = [part for sha, part in after.items() if sha not in before]
    assert len(new) == 21
    assert set(new) == {"train", "val", "test"}
    assert not any("leak" in finding.title for finding in outcome.findings)
    assert "None of these test pictures was used to train or to choose." in overview(outcome.run)
    assert read_recipe(RunDir(outcome.run)).split.split_from == str(first.resolve())


def test_the_parts_of_a_run_can_be_had_without_its_weights(photo_folder, first, tmp_path):
    draw(photo_folder / "red", 6, seed=1)
    outcome = pcn_cli.finetune(photo_folder, model="nano", split_from=str(first), seed=9, **OPTIONS)
    before, after = parts(first), parts(outcome.run)
    assert before.items() <= after.items()
    assert parts(pcn_cli.finetune(photo_folder, model="nano", seed=9, **OPTIONS).run) != after
    with pytest.raises(RunError, match="is not a run folder"):
        pcn_cli.finetune(photo_folder, model="nano", split_from=str(tmp_path / "none"), **OPTIONS)


def test_what_belongs_together_with_a_known_photo_joins_it(photo_folder, first):
    before = {row.file: row.split for row in read_split(RunDir(first))}
    for file, part in before.items():
        if part == "test":
            photo = Image.open(photo_folder / file)
            photo.resize((photo.width * 2, photo.height * 2)).save(photo_folder / file.replace(".jpg", "-large.png"))
    outcome = pcn_cli.finetune(photo_folder, model=str(first), **OPTIONS)
    after = {row.file: row.split for row in read_split(RunDir(outcome.run))}
    large = {part for file, part in after.items() if file.endswith("-large.png")}
    assert large == {"test"}


def test_a_chain_of_runs_is_followed(photo_folder, first):
    second = pcn_cli.finetune(photo_folder, model=str(first), **OPTIONS).run
    kept = {row.file for row in read_split(RunDir(second)) if row.split == "train"}
    aside = photo_folder.parent / "aside"
    shutil.copytree(photo_folder, aside)
    for file in sorted(kept)[:6]:
        (photo_folder / file).unlink()
    third = pcn_cli.finetune(photo_folder, model=str(second), **OPTIONS).run
    fourth = pcn_cli.finetune(aside, model=str(third), seed=3, **OPTIONS).run
    assert parts(fourth) == parts(first)


def test_where_a_split_is_forced_the_report_says_what_was_learned_from(photo_folder, first):
    rows = read_split(RunDir(first))
    forced = photo_folder.parent / "forced"
    for row in rows:  # the other way round
        part = {"test": "train", "train": "test", "val": "val"}[row.split]
        if row.split != "train" or row.file.endswith(("0.jpg", "1.jpg")):
            target = forced / part / row.file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo_folder / row.file, target)
    learned = sum(row.split == "train" and row.file.endswith(("0.jpg", "1.jpg")) for row in rows)
    outcome = pcn_cli.finetune(forced, model=str(first), **OPTIONS)
    told = next(finding for finding in outcome.findings if "leak" in finding.title)
    assert told.title.startswith(f"{learned} photo")
    assert "None of these" not in overview(outcome.run)
    assert "the figures flatter the model" in overview(outcome.run)
    assert str(photo_folder) not in overview(outcome.run)
    again = evaluate(outcome.run)  # measured again, it is still known
    assert any(finding.title == told.title for finding in again.findings)
    with pytest.raises(RecipeError, match="--split-from: has no effect: the photos come with parts of their own"):
        pcn_cli.finetune(forced, model="nano", split_from=str(first), **OPTIONS)


def test_measuring_photos_that_the_model_knows_is_told_in_the_report(photo_folder, first):
    measured = evaluate(str(first), images=photo_folder)
    assert any("leak" in finding.title for finding in measured.findings)
    report(measured.run.root)
    assert "None of these" not in overview(measured.run.root)


def test_weights_from_random_numbers_know_no_photo(photo_folder, first):
    settings = [*OPTIONS["settings"], "model.pretrained=false"]
    outcome = pcn_cli.finetune(photo_folder, model=str(first), seed=4, **{**OPTIONS, "settings": settings})
    assert read_recipe(RunDir(outcome.run)).split.split_from is None


def test_the_run_that_made_a_model_is_found(first, tmp_path):
    assert find_maker(first).root == first
    assert find_maker(first / "model").root == first
    assert find_maker(first / "report") is None
    assert find_maker("nano") is None
    assert find_maker(tmp_path) is None

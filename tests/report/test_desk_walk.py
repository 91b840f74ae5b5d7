"""From the desk to the next training: what a person decides there is what is learned from then on."""

import shutil

import pytest
from playwright.sync_api import expect

import pcn_cli
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import SUSPECTS, read_split

SMALL = {"tune": "probe", "settings": ["data.size=64", "explain.checks=0", "explain.overlays=0"]}
MOVED = {"blue": "green", "green": "red", "red": "blue"}  # a photo of each lies in the folder of another


@pytest.fixture
def first(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for label, wrong in MOVED.items():
        shutil.move(photo_folder / label / "00.jpg", photo_folder / wrong / f"really-{label}.jpg")
    return RunDir(pcn_cli.finetune("photos", model="nano", **SMALL).run)


def test_three_labels_corrected_by_keys_are_learned_with_the_same_split(visit, first, photo_folder, tmp_path):
    wrong = {f"{folder}/really-{label}.jpg": label for label, folder in MOVED.items()}
    assert wrong.keys() <= {one.file for one in SUSPECTS.read(first)}
    seen = visit(first.report.resolve() / "index.html", "#desk")
    expect(seen.page.locator("#desk-work")).to_be_visible()
    for _ in range(seen.page.locator("#desk-list li").count()):
        file = seen.page.locator("#desk-file").inner_text()
        key = str(1 + sorted(MOVED).index(wrong[file])) if file in wrong else "ArrowRight"
        seen.page.keyboard.press(key)
    expect(seen.page.locator("#desk-count")).to_contain_text("3 of")
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="Save decisions.csv").click()
    download.value.save_as(tmp_path / "decisions.csv")
    words = seen.page.locator("#desk-command").inner_text().split()
    assert words == ["pcn", "finetune", "photos", "--model", str(first.root), "--decisions", "decisions.csv"]

    outcome = pcn_cli.finetune(words[2], model=words[4], decisions=words[6], **SMALL)
    second = RunDir(outcome.run)
    labels = {row.file: row.label for row in read_split(second)}
    assert {file: labels[file] for file in wrong} == wrong
    parts = ({row.sha256: row.split for row in read_split(run)} for run in (first, second))
    assert next(parts) == next(parts)
    assert (photo_folder / "red" / "really-green.jpg").is_file()
    assert outcome.change.sentence.startswith("3 labels corrected: ")
    again = visit(second.report.resolve() / "index.html", "#desk")
    expect(again.page.locator("#desk .notice")).to_contain_text(outcome.change.sentence)
    again.go("#overview")
    expect(again.page.locator("#overview .hero")).to_contain_text(outcome.change.sentence)
    again.go("#desk")
    shown = again.page.locator("#desk-list img").evaluate_all("all => all.map((image) => image.alt)")
    assert not wrong.keys() & set(shown)

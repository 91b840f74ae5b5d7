"""The desk by keyboard: what is decided is kept, undone, saved and loaded; nothing of it can break out of the page."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from pcn_cli.data.scan.decisions import read_decisions
from pcn_cli.report.write import write_report, write_single_report


@pytest.fixture(scope="module")
def written(invent, new_desk, tmp_path_factory):
    def write(place, **facts):
        content = invent(30)
        folder = tmp_path_factory.mktemp(place) / "report"
        return write_report(folder, replace(content, desk=new_desk(content, **facts)), open_photo=paint)

    return write


@pytest.fixture(scope="module")
def desk(written):
    return written("desk")


def paint(file):
    return Image.new("RGB", (80, 60), (len(file) * 3 % 256, 120, 90))


def save(seen, tmp_path):
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="Save decisions.csv").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def count_of(seen):
    return seen.page.locator("#desk-count").inner_text().replace("\N{NO-BREAK SPACE}", " ")


def test_many_classes_of_long_names_do_not_widen_a_narrow_page(visit, invent, new_desk, tmp_path):
    content = invent(9)
    desk = new_desk(content)
    names = tuple(f"Ranunculus acris subsp. friesianus var. {number} with a name that goes on" for number in range(12))
    content = replace(content, desk=replace(desk, classes=(*desk.classes, *names)))
    seen = visit(
        write_report(tmp_path / "report", content, open_photo=paint), "#desk", viewport={"width": 360, "height": 780}
    )
    expect(seen.page.get_by_label("Another class")).to_be_visible()
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360


def test_keys_alone_decide_undo_and_move(visit, desk, tmp_path):
    seen = visit(desk, "#desk")
    expect(seen.page.locator("#desk-work")).to_be_visible()
    expect(seen.page.locator("#desk-question")).to_contain_text("Labelled birch")
    for key in ("k", "3", "ArrowRight", "r", "ArrowLeft", "ArrowLeft"):
        seen.page.keyboard.press(key)
    assert count_of(seen) == "3 of 5 photos"
    seen.page.keyboard.press("u")
    assert count_of(seen) == "2 of 5 photos"
    expect(seen.page.locator("#desk-list li.decided")).to_have_count(2)
    decisions = read_decisions(save(seen, tmp_path))
    assert [(one.decision, one.label, one.new_label) for one in decisions] == [
        ("keep", "birch", ""),
        ("change", "maple", "oak"),
    ]
    assert decisions[1].sha256 == f"{1:064}"


def test_its_own_class_keeps_the_label_and_buttons_do_what_keys_do(visit, desk, tmp_path):
    seen = visit(desk, "#desk")
    seen.page.keyboard.press("1")
    seen.page.locator(".desk-key", has_text="oak").click()
    seen.page.get_by_role("button", name="leave the photo out").click()
    assert [one.decision for one in read_decisions(save(seen, tmp_path))] == ["keep", "change", "remove"]


def test_what_was_decided_is_there_again_and_comes_in_as_a_table(visit, desk, tmp_path):
    seen = visit(desk, "#desk")
    seen.page.keyboard.press("2")
    table = save(seen, tmp_path)
    seen.page.reload()
    expect(seen.page.locator("#desk-count")).to_contain_text("1 of")
    other = visit(desk, "#desk")
    assert count_of(other) == "0 of 5 photos"
    other.page.locator("#desk-load").set_input_files(table)
    expect(other.page.locator("#desk-count")).to_contain_text("1 of")
    other.page.locator("#desk-load").set_input_files({"name": "x.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    expect(other.page.locator("#desk-count")).to_contain_text("no table of decisions")


def test_unlabelled_photos_are_added_with_their_folder(visit, written, tmp_path):
    seen = visit(written("queue", labelled=False), "#desk")
    expect(seen.page.locator("#desk-question")).to_contain_text("Perhaps maple")
    expect(seen.page.locator("#desk-keep")).to_be_hidden()
    for key in ("k", "2", "r", "1"):
        seen.page.keyboard.press(key)
    assert count_of(seen) == "3 of 5 photos"
    added = read_decisions(save(seen, tmp_path))
    assert [(one.decision, one.new_label, one.folder) for one in added] == [
        ("add", "maple", "new photos"),
        ("add", "birch", "new photos"),
    ]


def test_keys_do_nothing_on_other_pages_or_in_fields(visit, desk):
    seen = visit(desk, "#gallery")
    seen.page.keyboard.press("r")
    seen.go("#desk")
    assert count_of(seen) == "0 of 5 photos"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1440, "light")])
def test_it_fits_every_width_and_axe_finds_nothing(visit, desk, width, scheme):
    seen = visit(desk, "#desk", viewport={"width": width, "height": 800}, color_scheme=scheme)
    seen.page.keyboard.press("2")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(seen.page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def test_more_classes_than_keys_are_in_a_list(visit, invent, new_desk, tmp_path):
    content = invent(30)
    many = replace(new_desk(content), classes=tuple(f"kind {n:02}" for n in range(14)) + content.classes)
    seen = visit(write_report(tmp_path / "report", replace(content, desk=many), open_photo=paint), "#desk")
    expect(seen.page.locator("#desk-classes .desk-key")).to_have_count(9)
    expect(seen.page.locator("#desk-classes .desk-key").first).to_contain_text("maple")
    seen.page.get_by_label("Another class").select_option("kind 13")
    assert [one.new_label for one in read_decisions(save(seen, tmp_path))] == ["kind 13"]


def test_hostile_names_stay_text(visit, invent, tmp_path):
    evil = "<img src=x onerror=alert(1)>=cmd()\u2028"
    content = invent(30, name=lambda word: f"{evil}{word}")
    seen = visit(write_report(tmp_path / "report", content, open_photo=paint), "#desk")
    seen.page.keyboard.press("3")
    with save(seen, tmp_path).open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["new_label"] == f"{evil}oak"
    assert seen.page.locator("#desk img[src=x]").count() == 0


def test_one_file_holds_the_desk_too(visit, invent, tmp_path):
    content = invent(30)
    path = tmp_path / "one.html"
    write_single_report(path, content, open_photo=paint)
    seen = visit(path, "#desk")
    expect(seen.page.locator("#desk-picture")).to_have_attribute("src", re.compile("^data:image/webp"))
    seen.page.keyboard.press("k")
    assert count_of(seen) == "1 of 5 photos"


def test_without_anything_to_decide_there_is_no_page(visit, invent, tmp_path):
    page = write_report(tmp_path / "report", replace(invent(30), desk=None), open_photo=paint)
    assert 'id="desk"' not in Path(page).read_text(encoding="utf-8")

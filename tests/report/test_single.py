import re
from dataclasses import replace

import pytest
from PIL import Image
from playwright.sync_api import expect

from pcn_cli.errors import RecipeError
from pcn_cli.report import write
from pcn_cli.report.write import write_single_report

HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'


@pytest.fixture(scope="module")
def single(tmp_path_factory, invent, photo):
    """A report.html of 60 pictures with nothing beside it."""
    return write_single_report(tmp_path_factory.mktemp("single") / "report.html", invent(), open_photo=photo)


def test_a_single_file_is_all_that_is_written(single):
    assert [path.name for path in single.parent.iterdir()] == ["report.html"]


def test_a_single_file_asks_for_nothing_but_itself(visit, single):
    seen = visit(single, "#gallery?map=evidence&photo=1")
    expect(seen.page.locator("#bars tr")).to_have_count(3)
    seen.page.wait_for_function("document.getElementById('map').width > 100")
    expect(seen.page.locator("#large")).not_to_have_js_property("naturalWidth", 0)
    for page in ("overview", "classes", "health", "training", "gallery?page=2"):
        seen.go(f"#{page}")
    for image in seen.page.locator("#tiles .tile img").all():
        expect(image).not_to_have_js_property("naturalWidth", 0)
    asked = {url.partition("#")[0] for url in seen.requests if not url.startswith("data:")}
    assert asked == {single.as_uri()}


def test_a_single_file_shows_the_same_pictures_and_words_as_the_folder(visit, single, report):
    texts = []
    for index in (single, report):
        seen = visit(index, "#gallery?sort=file&map=look&photo=5")
        expect(seen.page.locator("#bars tr")).to_have_count(3)
        texts.append(seen.page.locator("#prediction").inner_text())
        seen.go("#health")
        expect(seen.page.locator(".twins img").first).not_to_have_js_property("naturalWidth", 0)
        texts[-1] += seen.page.locator("#health").inner_text()
    assert texts[0] == texts[1]


def test_its_policy_allows_no_file_beside_it(single):
    html = single.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "file:" not in policy
    assert "self" not in policy
    assert not re.findall(r"(?:src|href)=\"(?!#|data:image)", html)


def test_hostile_names_stay_text_in_a_single_file(visit, tmp_path, invent, photo):
    content = invent(6, name=lambda text: f"{text}{HOSTILE}")
    seen = visit(write_single_report(tmp_path / "report.html", content, open_photo=lambda _: photo("")), "#gallery")
    expect(seen.page.locator("#tiles .tile")).to_have_count(6)
    assert HOSTILE in seen.page.locator("#tiles .predicted").first.inner_text()
    assert seen.page.evaluate("typeof window.hacked") == "undefined"


def test_a_report_too_large_for_one_file_is_refused_and_the_older_one_stays(tmp_path, invent, photo, monkeypatch):
    path = write_single_report(tmp_path / "report.html", invent(3), open_photo=photo)
    before = path.read_bytes()
    opened = []

    def noisy(file):
        opened.append(file)
        return Image.effect_noise((384, 384), 90)

    monkeypatch.setattr(write, "MOST_BYTES", 1_000_000)
    with pytest.raises(RecipeError, match="this report of 300 pictures is larger than 1 MB") as refused:
        write_single_report(path, invent(300), open_photo=noisy)
    assert refused.value.hint == "leave --single-file out, and send the whole folder report/ instead"
    assert len(opened) < 300  # it does not go on for nothing
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_photo_that_is_gone_keeps_its_numbers_in_a_single_file(visit, tmp_path, invent, photo):
    content = invent(4)
    content = replace(content, maps=replace(content.maps, evidence=None))
    gone = content.predictions[2].file

    def open_photo(file):
        if file == gone:
            raise FileNotFoundError(file)
        return photo(file)

    seen = visit(write_single_report(tmp_path / "report.html", content, open_photo=open_photo), "#gallery?photo=2")
    expect(seen.page.locator("#no-picture")).to_be_visible()
    expect(seen.page.locator("#bars tr")).to_have_count(3)

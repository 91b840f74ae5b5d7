"""The typed filter of the gallery: what it leaves, what it says, and what it offers."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from pcn_cli.report.write import write_report


@pytest.fixture(scope="module")
def content(invent):
    base = invent(60)
    answers = (replace(one, unlike=n / 50) for n, one in enumerate(base.predictions))
    return replace(base, predictions=tuple(answers))


@pytest.fixture(scope="module")
def index(content, photo, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("query") / "report", content, open_photo=photo)


def is_wrong(one):
    return one.predicted != one.label


QUERIES = {
    "label:oak": lambda one: one.label == "oak",
    "label:b,oak wrong": lambda one: one.label in ("birch", "oak") and is_wrong(one),
    "said=map": lambda one: False,
    "said=maple -label:maple": lambda one: one.predicted == "maple" != one.label,
    "conf<0.6 part:test": lambda one: one.confidence < 0.6,
    "conf>=60% LABEL!=oak": lambda one: one.confidence >= 0.6 and one.label != "oak",
    "unlike>0.9": lambda one: one.unlike > 0.9,
    "unlike": lambda one: one.unlike > 1,
    "part:train": lambda one: False,
    "-wrong file:/000": lambda one: not is_wrong(one) and "/000" in one.file,
    '"oak/00" suspected': lambda one: False,
    '"OAK/00"': lambda one: "oak/00" in one.file,
    "constructor": lambda one: False,
}


def test_words_leave_the_pictures_that_are_so(visit, index, content):
    seen = visit(index, "#gallery?sort=file")
    for query, fits in QUERIES.items():
        seen.page.locator("#find").fill(query)
        wanted = [number for number, one in enumerate(content.predictions) if fits(one)]
        count = f"{len(wanted)} of 60" if len(wanted) < 60 else "60"
        expect(seen.page.locator("#count"), query).to_have_text(re.compile(rf"^{count}\b"))
        shown = seen.page.locator("#tiles .tile").evaluate_all("tiles => tiles.map((t) => Number(t.dataset.row))")
        assert shown == wanted[:48], query
    assert 0 < sum(map(QUERIES["label:b,oak wrong"], content.predictions)) < 60


def test_the_slash_leads_there_from_any_page_and_what_is_asked_is_said_in_words(visit, index):
    seen = visit(index, "#confidence")
    seen.page.keyboard.press("/")
    expect(seen.page.locator("#find")).to_be_focused()
    seen.page.keyboard.type('label:oak conf<60% -wrong "x y"')
    said = "labelled “oak” · confidence below 60 % · not wrong · file name with “x y”"
    told = seen.page.locator("#find-says").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert re.sub("[\u2068\u2069]", "", told) == said
    seen.page.locator("#gallery-title").focus()
    seen.page.keyboard.press("?")
    expect(seen.page.get_by_text("a label with these letters")).to_be_visible()


def test_the_last_word_is_completed_from_what_the_report_has(visit, index):
    seen = visit(index, "#gallery")

    def offers(text):
        seen.page.locator("#find").fill(text)
        return seen.page.locator("#find-words option").evaluate_all("all => all.map((one) => one.value)")

    assert offers("wrong label:a") == ["wrong label:maple", "wrong label:oak"]
    assert offers("con") == ["conf<", "conf>"]
    assert offers("-unl") == ["-unlike<", "-unlike>", "-unlike"]
    assert offers("part:") == ["part:test"]


def test_pictures_are_put_together_by_label_and_shown_in_five_sizes_and_beside_their_maps(visit, index):
    seen = visit(index, "#gallery?group=label&as=pairs&size=1&find=right")
    heads = seen.page.locator("#tiles .group h2").all_inner_texts()
    assert heads == ["birch", "maple", "oak"]
    assert seen.page.locator("#tiles .pair .frame").count() == 2 * seen.page.locator("#tiles .tile").count()
    width = "() => document.querySelector('#tiles .tile').getBoundingClientRect().width"
    small = seen.page.evaluate(width)
    seen.page.get_by_label("Size").fill("5")
    expect(seen.page).to_have_url(re.compile("size=5"))
    assert seen.page.evaluate(width) > 1.5 * small

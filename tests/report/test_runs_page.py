"""The page of all runs: sorted, filtered, and compared only within the same test photos."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pcn_cli.metrics.definitions import described
from pcn_cli.records.metrics import Metric
from pcn_cli.report.format import duration
from pcn_cli.report.runs_page import RunLine, name_tests, render_runs


def invent_line(name, tested="x", *, right=0.8, made="2025-01-01T10:00:00+00:00", **facts):
    metrics = described(
        {
            "accuracy": Metric(value=right, n=40, method="", ci_low=right - 0.1, ci_high=right + 0.1),
            "log_loss": Metric(value=1 - right, n=40, method=""),
        }
    )
    given = {"quality": metrics["accuracy"], "log_loss": metrics["log_loss"]} if tested else {}
    base = {"status": "finished", "made": made, "source": "fruit", "photos": 200, "classes": 3, "model": "nano"}
    return RunLine(name=name, word=name, tested=tested, **{**base, **given, **facts})


@pytest.fixture
def runs(tmp_path):
    lines = [
        invent_line("fruit-1", right=0.7, seconds=4000, bytes=5 * 10**6, report="fruit-1/report/index.html"),
        invent_line("fruit-2", right=0.9, made="2025-01-02T10:00:00+00:00", seconds=61, bytes=10**9, latest=True),
        invent_line("shells", "y", right=0.8, made="2025-01-03T10:00:00+00:00", source="shells", seconds=9),
        invent_line("<b>", "", status="stopped", made="2025-01-04T10:00:00+00:00"),
    ]
    page = tmp_path / "runs.html"
    page.write_text(render_runs(lines, comparisons=[("fruit-1-fruit-2", "compare-fruit-1-fruit-2.html")]), "utf-8")
    return page


def names(seen):
    cells = seen.page.locator("#runs tbody tr:not([hidden]) th").all()
    return [cell.get_attribute("data-value") for cell in cells]


def test_the_newest_run_comes_first_and_headings_sort_figures_within_the_same_test_photos(visit, runs):
    seen = visit(runs, ready=False)
    assert names(seen) == ["<b>", "shells", "fruit-2", "fruit-1"]
    expect(seen.page.get_by_text("2 different sets of test photos")).to_be_visible()
    seen.page.get_by_role("button", name="Accuracy").click()
    assert names(seen) == ["fruit-1", "fruit-2", "shells", "<b>"]
    seen.page.get_by_role("button", name="Accuracy").click()
    assert names(seen) == ["fruit-2", "fruit-1", "shells", "<b>"]
    for heading, order in (
        ("Took", ["shells", "fruit-2", "fruit-1", "<b>"]),
        ("Made", ["fruit-1", "fruit-2", "shells", "<b>"]),
    ):
        seen.page.get_by_role("button", name=heading).click()
        assert names(seen) == order


def test_words_and_a_set_of_test_photos_leave_the_runs_that_fit(visit, runs):
    seen = visit(runs, ready=False)
    seen.page.get_by_label("Find").fill("NANO fruit-")
    assert names(seen) == ["fruit-2", "fruit-1"]
    expect(seen.page.locator("#count")).to_have_text("2 of 4 shown")
    seen.page.get_by_label("Find").fill("")
    seen.page.get_by_label("Test photos").select_option("B")
    assert names(seen) == ["shells"]
    seen.page.get_by_label("Find").fill("nothing")
    expect(seen.page.get_by_text("No run fits.")).to_be_visible()


def test_two_ticked_runs_give_the_command_that_compares_them_the_older_first(visit, runs):
    seen = visit(runs, ready=False)
    assert seen.page.get_by_role("checkbox").count() == 3  # not of a run that was never measured
    seen.page.get_by_role("checkbox", name="fruit-2").check()
    expect(seen.page.locator("#two-command")).to_be_hidden()
    seen.page.get_by_role("checkbox", name="fruit-1").check()
    expect(seen.page.locator("#two-command")).to_have_text("pcn runs compare fruit-1 fruit-2 --report")
    seen.page.get_by_role("checkbox", name="fruit-1").uncheck()
    seen.page.get_by_role("checkbox", name="shells").check()
    expect(seen.page.get_by_text("They have different test photos.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_the_page_is_no_wider_than_the_window_and_passes_axe(visit, runs, scheme, width):
    seen = visit(runs, ready=False, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(seen.page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == []
    assert (
        seen.page.get_by_role("link", name="fruit-1", exact=True).get_attribute("href") == "fruit-1/report/index.html"
    )


def test_test_photos_are_named_in_the_order_in_which_they_came(runs):
    lines = [invent_line(f"run-{n:02}", f"set-{n}", made=f"2025-02-{n + 1:02}T10:00:00") for n in range(28)]
    found = name_tests(list(reversed(lines)))
    assert [found[f"set-{n}"].letter for n in (0, 25, 26, 27)] == ["A", "Z", "AA", "AB"]
    assert not re.search(r"<b>(?!</)", runs.read_text("utf-8").split("<tbody>")[1])  # names are text


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (9.4, "9 s"), (61, "1 min 1 s"), (3600, "1 h"), (7999, "2 h 13 min")]
)
def test_durations_are_told_in_their_largest_units(seconds, words):
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == words

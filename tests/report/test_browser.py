"""The report as a person meets it: opened from disk in chromium, offline.

The `visit` fixture asserts at its end that the browser complained of nothing and asked for nothing but files.
"""

import csv
import io
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pcn_cli.report.write import write_report

PAGES = (
    "overview",
    "gallery",
    "classes",
    "confusions",
    "confidence",
    "desk",
    "health",
    "training",
    "card",
    "reproduce",
)


def count_of(visit):
    return int(visit.page.locator("#count").inner_text().replace("\N{NO-BREAK SPACE}", " ").split()[0])


def test_every_page_opens_from_disk_without_a_complaint(visit, report):
    seen = visit(report)
    for name in PAGES:
        seen.open(f"#{name}")
        expect(seen.page.locator("section.page.current")).to_have_attribute("id", name)
        expect(seen.page.locator(f"#{name}-title")).to_be_visible()
        expect(seen.page.locator("nav [aria-current=page]")).to_have_count(1)
        expect(seen.page.locator("#trouble")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_is_wider_than_the_window(visit, report, width):
    seen = visit(report, viewport={"width": width, "height": 800})
    for name in (*PAGES, "gallery?as=table", "gallery?photo=3"):
        seen.go(f"#{name}")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_on_a_narrow_screen_the_name_of_the_page_is_in_sight_and_no_figure_of_a_chart_is_cut(visit, report):
    """Seen: the names after Confusions stayed beyond the edge, and the axis from 70.0 % began at ".0 %"."""
    seen = visit(report, viewport={"width": 360, "height": 800})
    for name in PAGES:
        seen.go(f"#{name}")
        link = seen.page.locator("nav [aria-current=page]").bounding_box()
        assert link["x"] >= 0, name
        assert link["x"] + link["width"] <= 0.9 * 360, name  # the last tenth fades
    cut = """() => [...document.querySelectorAll(".current svg text")].filter((text) => {
      const [inner, outer] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
      return inner.left < outer.left - 0.5 || inner.right > outer.right + 0.5;
    }).map((text) => text.textContent)"""
    seen.go("#confidence")
    assert seen.page.locator(".current svg text").count() > 2
    assert seen.page.evaluate(cut) == []


def test_every_matrix_cell_opens_as_many_pictures_as_it_counts(visit, report):
    seen = visit(report, "#confusions")
    cells = seen.page.locator("table.matrix td a")
    links = [(int(cell.inner_text()), cell.get_attribute("href")) for cell in cells.all()]
    assert len(links) > 3
    assert sum(count for count, _ in links) == 60
    for count, address in links:
        seen.go(address)
        assert count_of(seen) == count
        expect(seen.page.locator("#tiles .tile")).to_have_count(count)


def test_filters_stand_in_the_address_and_the_address_sets_the_filters(visit, report):
    seen = visit(report, "#gallery")
    seen.page.get_by_role("checkbox", name="wrong").check()
    expect(seen.page).to_have_url(re.compile(r"#gallery\?show=wrong$"))
    wrong = count_of(seen)
    expect(seen.page.locator("#tiles .tile.wrong")).to_have_count(wrong)
    seen.page.locator("select[name=label]").select_option("oak")
    expect(seen.page).to_have_url(re.compile(r"show=wrong&label=oak$"))
    assert 0 < count_of(seen) < wrong
    address = seen.page.url.partition("#")[2]
    filtered = count_of(seen)
    seen.go(f"#{address}")
    assert count_of(seen) == filtered
    expect(seen.page.get_by_role("checkbox", name="wrong")).to_be_checked()
    seen.page.get_by_role("button", name="Clear filters").click()
    expect(seen.page.locator("#count")).to_have_text("60\N{NO-BREAK SPACE}pictures")


def test_on_paper_no_page_is_cut_at_its_right(visit, invent, photo, tmp_path):
    """Long names in the table of doubtful labels, which paper unfolds, took it beyond the edge."""
    content = invent(9, name=lambda word: word if word.isdigit() else f"a-{word}-that-is-called-at-length-{word}")
    seen = visit(write_report(tmp_path / "report", content, open_photo=photo), viewport={"width": 720, "height": 1000})
    seen.page.emulate_media(media="print")
    assert seen.page.locator("section.page").evaluate_all("all => all.every((page) => page.clientHeight > 0)")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 720


def test_typing_a_file_name_filters_at_once(visit, report):
    seen = visit(report, "#gallery")
    seen.page.get_by_label("File name").type("OAK/0005")
    expect(seen.page.locator("#tiles .tile")).to_have_count(1)
    assert seen.page.get_by_label("File name").input_value() == "OAK/0005"
    seen.page.get_by_label("File name").type("x")
    expect(seen.page.get_by_text("No picture fits these filters.")).to_be_visible()


def test_orders_sort_by_confidence(visit, report):
    seen = visit(report)
    for order, falling in (("sure", True), ("unsure", False)):
        seen.go(f"#gallery?sort={order}")
        shown = [float(text.split()[0]) for text in seen.page.locator("#tiles .confidence").all_inner_texts()]
        assert len(shown) == 48
        assert shown == sorted(shown, reverse=falling)


def test_the_worst_come_first_unless_asked_otherwise(visit, report):
    seen = visit(report, "#gallery")
    wrong = seen.page.locator("#tiles .tile.wrong").count()
    kinds = seen.page.locator("#tiles .tile").evaluate_all("tiles => tiles.map((t) => t.classList.contains('wrong'))")
    assert kinds == [True] * wrong + [False] * (48 - wrong)


def test_pages_of_the_gallery_hold_every_picture_once(visit, report):
    seen = visit(report, "#gallery?sort=file")
    rows = seen.page.locator("#tiles .tile").evaluate_all("tiles => tiles.map((t) => Number(t.dataset.row))")
    seen.page.get_by_role("link", name="Next →").click()
    expect(seen.page.locator("#where")).to_have_text("Page 2 of 2")
    rows += seen.page.locator("#tiles .tile").evaluate_all("tiles => tiles.map((t) => Number(t.dataset.row))")
    assert rows == list(range(60))


def test_the_table_shows_the_same_pictures_as_the_tiles(visit, report):
    seen = visit(report, "#gallery?show=wrong&as=table")
    expect(seen.page.locator("#lines tr")).to_have_count(count_of(seen))
    expect(seen.page.locator("#tiles")).to_be_hidden()


def test_the_way_through_the_report_needs_no_mouse(visit, report):
    seen = visit(report)
    page = seen.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator("nav [data-page=gallery]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#gallery-title")).to_be_focused()
    tiles = page.locator("#tiles .tile > a")
    for _ in range(40):
        if tiles.first.evaluate("link => link === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(tiles.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(tiles.last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator("#prediction")).to_be_visible()
    expect(page.locator("#place")).to_have_text("1 of 60")
    title = page.locator("#prediction-title").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#place")).to_have_text("2 of 60")
    assert page.locator("#prediction-title").inner_text() != title
    page.keyboard.press("Escape")
    expect(page.locator("#prediction")).to_be_hidden()
    expect(tiles.nth(1)).to_be_focused()
    page.locator("nav [data-page=confusions]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#confusions-title")).to_be_focused()
    page.locator("table.matrix td a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("section.current")).to_have_attribute("id", "gallery")


def test_what_has_the_focus_can_be_seen(visit, report):
    seen = visit(report, "#gallery")
    for _ in range(25):
        seen.page.keyboard.press("Tab")
        outline = seen.page.evaluate(
            """() => { const e = document.activeElement;
              const shown = e.matches(".looks input") ? e.nextElementSibling : e;
              return [e.outerHTML.slice(0, 80), parseFloat(getComputedStyle(shown).outlineWidth)]; }"""
        )
        assert outline[1] >= 2, outline[0]


def test_back_closes_the_picture_and_keeps_the_filters(visit, report):
    seen = visit(report, "#gallery?show=wrong")
    seen.page.locator("#tiles .tile > a").first.click()
    expect(seen.page.locator("#prediction")).to_be_visible()
    seen.page.go_back()
    expect(seen.page.locator("#prediction")).to_be_hidden()
    assert seen.page.url.endswith("#gallery?show=wrong")


def test_a_picture_shows_its_classes_its_label_and_its_look(visit, report):
    seen = visit(report, "#gallery?show=wrong&map=look")
    seen.page.locator("#tiles .tile > a").first.click()
    dialog = seen.page.locator("#prediction")
    said = "✕ Wrong: it says (birch|maple|oak) rather than (birch|maple|oak)"
    expect(dialog.locator("#verdict")).to_have_text(re.compile(said))
    expect(dialog.locator("#bars tr")).to_have_count(3)
    expect(dialog.locator("#bars .chip:visible")).to_have_count(1)
    expect(dialog.locator("#look-words")).to_have_text(re.compile("Half of its attention lies on 20.0.% of the tiles"))
    expect(
        dialog.get_by_role("img", name=re.compile("Map of where the model looked. Half of its attention"))
    ).to_be_visible()
    assert seen.page.evaluate("document.getElementById('map').width") > 100
    wipe = dialog.get_by_label("Wipe from map to photo")
    wipe.focus()
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate("document.getElementById('map').style.clipPath") == "inset(0px 0px 0px 1%)"


def test_a_click_on_the_strip_of_mistakes_walks_through_the_mistakes(visit, report):
    seen = visit(report)
    wrong = int(re.search(r"\d+", seen.page.get_by_role("link", name="mistakes").inner_text())[0])
    seen.page.locator("#overview .tile > a").nth(1).click()
    expect(seen.page.locator("#place")).to_have_text(f"2 of {wrong}")
    seen.page.keyboard.press("Escape")
    expect(seen.page.locator("section.current")).to_have_attribute("id", "overview")


def test_per_class_figures_can_be_put_in_order(visit, report):
    seen = visit(report, "#classes")
    seen.page.get_by_role("button", name="Class").click()
    seen.page.get_by_role("button", name="Class").click()
    assert seen.page.locator("#class-table tbody th").all_inner_texts() == ["oak", "maple", "birch"]
    assert seen.page.locator("#classes th[aria-sort]").get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize(
    ("scheme", "only"),
    [("light", {}), ("dark", {"runOnly": ["color-contrast"]})],  # the other rules do not see colours
    ids=["light", "dark"],
)
def test_axe_finds_nothing(visit, report, scheme, only):
    seen = visit(report, color_scheme=scheme)
    for address in (
        *PAGES,
        "gallery?as=table",
        "gallery?find=nothing-is-called-so",
        "gallery?photo=1",
        "gallery?look=heat&map=look&photo=2",
        "gallery?map=evidence&photo=3",
        "gallery?map=contrast&of=2&photo=4",
    ):
        seen.go(f"#{address}")
        found = Axe().run(seen.page, options={"resultTypes": ["violations"], **only}).response["violations"]
        assert [(address, v["id"], v["nodes"][0]["html"][:120]) for v in found] == []


def test_without_javascript_the_figures_the_tables_and_24_pictures_remain(visit, report):
    seen = visit(report, ready=False, java_script_enabled=False)
    for name in PAGES:
        expect(seen.page.locator(f"#{name}-title")).to_be_visible()
    expect(seen.page.locator("#gallery .tile")).to_have_count(24)
    expect(seen.page.locator("table.matrix")).to_be_visible()
    expect(seen.page.locator("form")).to_be_hidden()
    expect(seen.page.locator("#theme")).to_be_hidden()


def test_the_threshold_can_be_moved_and_says_what_it_gives(visit, report, invent):
    seen = visit(report, "#confidence")
    predictions = invent(60).predictions
    for least in (0.7, 0.9):
        seen.page.locator("#threshold").fill(str(round(100 * least)))
        given = [p for p in predictions if round(p.confidence, 5) >= least]
        right = sum(p.correct for p in given)
        words = seen.page.locator("#threshold-words").inner_text().replace("\N{NO-BREAK SPACE}", " ")
        assert words == (
            f"from {100 * least:.1f} % on: {100 * len(given) / 60:.1f} % answered, "
            f"{100 * right / len(given):.1f} % of these right ({right} of {len(given)})"
        )


def test_the_page_on_confidence_says_what_is_promised_and_where_photos_are_missing(visit, report):
    seen = visit(report, "#confidence")
    text = seen.page.locator("#confidence").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "a temperature of 1.4000, fitted on 30 validation pictures" in text
    assert "Below a confidence of 70.0 % the answer is “unknown”" in text
    assert "not enough photos" in text
    assert seen.page.locator("#confidence .point").count() == 8
    assert seen.page.locator("#confidence .span").count() == 8


def test_thousands_of_predictions_never_stand_in_the_page_at_once(visit, tmp_path, invent, photo):
    content, written = invent(20_000), []

    def open_photo(file):
        written.append(file)
        if len(written) > 1000:  # rows cost the page what they cost with and without a picture
            raise FileNotFoundError(file)
        return photo(file)

    index = write_report(tmp_path / "report", content, open_photo=open_photo)
    assert index.stat().st_size < 1_500_000
    seen = visit(index)
    for address in (
        "#overview",
        "#gallery",
        "#gallery?as=table",
        "#gallery?page=417",
        "#classes",
        "#confusions",
        "#health",
        "#gallery?photo=19999",
    ):
        seen.go(address)
        assert seen.page.evaluate("document.querySelectorAll('*').length") < 3000, address
    seen.go("#gallery?sort=file&page=417")
    expect(seen.page.locator("#tiles .tile")).to_have_count(20_000 - 416 * 48)
    expect(seen.page.locator("#where")).to_have_text("Page 417 of 417")


def test_new_images_without_labels_show_everything_that_needs_none(visit, tmp_path, invent, photo):
    index = write_report(tmp_path / "report", invent(12, labelled=False), open_photo=photo)
    seen = visit(index)
    expect(seen.page.locator("h1").first).to_have_text(re.compile("12.pictures.*taken for 3.classes"))
    seen.page.get_by_role("link", name="maple").first.click()
    expect(seen.page.locator("section.current")).to_have_attribute("id", "gallery")
    assert count_of(seen) == seen.page.locator("#tiles .tile").count() > 0
    expect(seen.page.get_by_role("checkbox", name="wrong")).to_have_count(0)
    seen.page.locator("#tiles .tile > a").first.click()
    expect(seen.page.locator("#verdict")).to_have_text("No label")


def test_a_report_without_maps_offers_none(visit, tmp_path, invent, photo):
    seen = visit(write_report(tmp_path / "report", invent(9, looks=False), open_photo=photo), "#gallery?photo=2")
    expect(seen.page.locator("#bars tr")).to_have_count(3)
    expect(seen.page.locator("#look-facts")).to_be_hidden()
    expect(seen.page.locator("[name=look], [name=large-look]")).to_have_count(0)


def test_a_page_torn_from_its_folders_says_what_is_missing(browser, report, tmp_path):
    (tmp_path / "index.html").write_bytes(Path(report).read_bytes())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    expect(page.locator("#trouble")).to_have_text(re.compile("data/rows.js is missing. Keep the folders data and img"))
    expect(page.locator("#overview-title")).to_be_visible()
    page.close()


def test_paper_shows_every_page_and_no_tools(visit, report):
    seen = visit(report)
    seen.page.emulate_media(media="print")
    for name in PAGES:
        expect(seen.page.locator(f"#{name}-title")).to_be_visible()
    for tool in (".bar", "form", "#pager"):
        expect(seen.page.locator(tool)).to_be_hidden()
    assert seen.page.pdf()[:4] == b"%PDF"


def test_the_button_switches_between_light_and_dark(visit, report):
    seen = visit(report, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(paper)
    seen.page.get_by_role("button", name="Dark").click()
    assert seen.page.evaluate(paper) != light
    seen.page.get_by_role("button", name="Light").click()
    assert seen.page.evaluate(paper) == light


def test_kinds_count_their_pictures_and_are_combined(visit, report):
    seen = visit(report, "#gallery")
    kinds = seen.page.locator(".kinds label:has(small)")
    titles = [label.inner_text().rsplit(" ", 1) for label in kinds.all()]
    assert [title for title, _ in titles] == [
        "wrong",
        "right",
        "under 70 % sure",
        "looks at the border",
        "flips when hidden",
        "has a copy",
    ]
    counts = {}
    for field in kinds.locator("input").all():
        seen.go(f"#gallery?show={field.get_attribute('value')}")
        counts[field.get_attribute("value")] = count_of(seen)
    assert list(counts.values()) == [int(count) for _, count in titles]
    seen.go("#gallery?show=wrong,unsure")
    assert 0 < count_of(seen) <= min(counts["wrong"], counts["unsure"])
    seen.go("#gallery?show=wrong,right")
    assert count_of(seen) == 0


HOSTILE_NOTE = '=cmd|"/c calc"!A1, and\nanother line'


def test_stars_and_notes_go_out_as_a_table_and_come_back(visit, report, tmp_path):
    seen = visit(report, "#gallery?photo=7")
    seen.page.get_by_role("button", name="Star", exact=True).click()
    seen.page.get_by_role("textbox", name="Note").fill(HOSTILE_NOTE)
    seen.page.keyboard.press("Escape")
    expect(seen.page.locator("#decided")).to_have_text("★ 1 · 1\N{NO-BREAK SPACE}note")
    expect(seen.page.locator('.tile[data-row="7"].starred')).to_have_count(1)
    with seen.page.expect_download() as waiting:
        seen.page.get_by_role("button", name="Save stars.csv").click()
    waiting.value.save_as(tmp_path / "stars.csv")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "stars.csv").read_bytes().decode("utf-8-sig"), newline=""))
    assert row["file"] == "maple/0007.jpg"
    assert (row["starred"], row["note"]) == ("yes", "'" + HOSTILE_NOTE)  # no formula for a table program
    fresh = visit(report, "#gallery")
    fresh.page.locator("#load-decisions").set_input_files(tmp_path / "stars.csv")
    expect(fresh.page.locator("#decided")).to_have_text("★ 1 · 1\N{NO-BREAK SPACE}note")
    fresh.go("#gallery?show=starred,noted")
    assert count_of(fresh) == 1
    fresh.go("#gallery?show=starred&photo=7")
    assert fresh.page.get_by_role("textbox", name="Note").input_value() == HOSTILE_NOTE
    fresh.open("#gallery?show=noted")  # the browser remembers them
    assert count_of(fresh) == 1


def test_a_table_without_stars_says_so_and_strangers_are_counted(visit, report):
    seen = visit(report, "#gallery")
    load = seen.page.locator("#load-decisions")
    load.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"photo,mark\nx,y\n"})
    expect(seen.page.locator("#decided")).to_have_text(re.compile("This is no table of stars"))
    table = b"file,starred,note\nnowhere.jpg,yes,\nbirch/0000.jpg,yes,fine\n"
    load.set_input_files({"name": "stars.csv", "mimeType": "text/csv", "buffer": table})
    expect(seen.page.locator("#decided")).to_have_text(re.compile(r"★ 1 .*1.file of the table not in this report"))


def test_every_class_shows_its_mean_map_its_surest_and_its_worst(visit, report, invent):
    seen = visit(report, "#classes")
    cards = seen.page.locator("#class-cards > li")
    expect(cards).to_have_count(3)
    predictions = invent(60).predictions
    for name in ("birch", "maple", "oak"):
        card = cards.filter(has=seen.page.get_by_role("heading", name=name, exact=True))
        own = [(number, p) for number, p in enumerate(predictions) if p.label == name]
        right = sorted((-round(p.confidence, 5), number) for number, p in own if p.correct)
        shown = card.locator(".surest .tile").evaluate_all("tiles => tiles.map((t) => Number(t.dataset.row))")
        assert shown == [number for _, number in right[:4]]
        wrong = card.locator(".worst .tile").count()
        assert wrong == min(4, sum(not p.correct for _, p in own))
        expect(card.get_by_role("img", name=re.compile(f"Mean map of {name}: .*mean of 20"))).to_be_visible()


def test_data_health_shows_what_belongs_together_as_pictures(visit, report):
    seen = visit(report, "#health")
    pair = seen.page.locator(".twins > li")
    expect(pair).to_have_count(1)
    expect(pair.locator("img")).to_have_count(2)
    expect(pair).to_contain_text("the same picture")
    for image in pair.locator("img").all():
        expect(image).not_to_have_js_property("naturalWidth", 0)


def test_a_picture_shows_facts_of_its_file_and_its_numbers_among_all(visit, report):
    seen = visit(report, "#gallery?photo=3")
    facts = seen.page.locator("#file-facts")
    expect(facts).to_contain_text("60 × 40, RGB")
    expect(facts).to_contain_text("555555555555")
    expect(seen.page.locator("#numbers svg")).to_have_count(1)  # the other numbers are the same for all
    expect(seen.page.locator("#numbers .rank").first).to_be_attached()


def test_the_scale_is_the_reports_unless_the_pictures_own_is_asked_for(visit, report):
    seen = visit(report, "#gallery?photo=3&look=heat&map=look")
    expect(seen.page.locator("#legend-top")).to_have_text(re.compile("^[0-9.]+×$"))
    common = seen.page.locator("#legend-top").inner_text()
    seen.page.get_by_label("this picture's own scale").check()
    expect(seen.page.locator("#map-words")).to_contain_text("cannot be compared with others")
    assert seen.page.locator("#legend-top").inner_text() != common


def test_a_picture_says_what_hiding_half_of_the_look_would_do(report, invent, visit):
    content = invent()
    seen = visit(report, "#gallery?photo=0")
    prediction = content.predictions[0]
    before = f"{prediction.predicted} {100 * prediction.confidence:.1f}\N{NO-BREAK SPACE}%"
    expect(seen.page.locator("#what-if")).to_have_text(
        f"Without the tiles that hold half of its look: {before} → birch 51.0\N{NO-BREAK SPACE}%. "
        "With those alone: 90.0\N{NO-BREAK SPACE}%. Without as many at random: 72.0\N{NO-BREAK SPACE}%."
    )

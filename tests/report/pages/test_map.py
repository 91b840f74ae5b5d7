"""Photos as points, and a lasso around some of them."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from pcn_cli.records.predictions import Alike, PhotoPlace
from pcn_cli.report.write import write_report, write_single_report

BURST = (3, 7, 11)  # rows that lie in a corner of their own


@pytest.fixture(scope="module")
def content(invent):
    """A report whose photos lie on a diagonal, but for a burst, with two training photos beside the first."""
    base = invent()
    places = tuple(
        PhotoPlace(
            file=one.file,
            split="test",
            label=one.label,
            x=0.05 if number in BURST else 0.5 + number / 150,
            y=0.9 if number in BURST else number / 120,
        )
        for number, one in enumerate(base.predictions)
    )
    train = PhotoPlace(file="oak/learned.jpg", split="train", label="oak", x=0.06, y=0.91)
    alike = tuple(
        Alike(file=base.predictions[0].file, label=name, rank=1, other=f"{name}/learned.jpg", likeness=0.875)
        for name in base.classes
    )
    held = type(base.artifacts)({**base.artifacts, PhotoPlace: (*places, train), Alike: alike})
    return replace(base, artifacts=held)


@pytest.fixture(scope="module")
def index(content, photo, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("map") / "report", content, open_photo=photo)


def draw_around_corner(page):
    box = page.locator("#map-canvas").bounding_box()
    left, bottom = box["x"], box["y"] + box["height"]
    page.mouse.move(left + 5, bottom - 5)
    page.mouse.down()
    for x, y in ((0.02, 0.7), (0.2, 0.7), (0.2, 0.99), (0.01, 0.99)):
        page.mouse.move(left + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()


def test_a_lasso_around_a_burst_picks_it_and_opens_it_in_the_gallery(visit, index):
    seen = visit(index, "#places", viewport={"width": 1280, "height": 1200})
    seen.page.wait_for_timeout(300)
    draw_around_corner(seen.page)
    expect(seen.page.locator("#map-count")).to_have_text("4\u00a0photos picked")
    expect(seen.page.locator("#map-others")).to_contain_text("oak/learned.jpg")
    expect(seen.page.locator("#map-tiles .tile")).to_have_count(3)
    seen.page.locator("#map-open").click()
    expect(seen.page.locator("#tiles .tile")).to_have_count(3)
    found = seen.page.eval_on_selector_all("#tiles .tile", "tiles => tiles.map((one) => Number(one.dataset.row))")
    assert set(found) == set(BURST)


def painted(page):
    """What stands on the map's canvas once a frame has passed."""
    return page.locator("#map-canvas").evaluate(
        "(canvas) => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(canvas.toDataURL()))))"
    )


def test_a_class_can_be_picked_without_a_mouse_and_put_down_again(visit, index, content):
    seen = visit(index, "#places")
    seen.page.wait_for_selector("#map-key li")
    plain = painted(seen.page)
    seen.page.locator("#map-class").select_option("oak")
    own = sum(one.label == "oak" for one in content.predictions) + 1
    expect(seen.page.locator("#map-count")).to_have_text(f"{own}\u00a0photos picked")
    picked = painted(seen.page)
    seen.page.locator("#map-clear").click()
    expect(seen.page.locator("#map-picked")).to_be_hidden()
    # Points are painted anew whenever something of them changed, and only then the same picture serves.
    assert painted(seen.page) == plain != picked
    seen.page.locator('[name="map-colour"][value="part"]').check()
    assert painted(seen.page) not in (plain, picked)


def test_a_picture_stands_beside_what_it_is_like(visit, index, content, photo, tmp_path):
    seen = visit(index, "#gallery?photo=0")
    rows = seen.page.locator("#alike figure")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator("figcaption")).to_have_text(f"{content.predictions[0].predicted}, what it was taken for")
    expect(rows.nth(0).locator("small")).to_have_text("88 % alike")
    assert rows.nth(0).locator("img").evaluate("async (image) => { await image.decode(); return image.naturalWidth; }")
    alone = visit(write_single_report(tmp_path / "one.html", content, open_photo=photo), "#gallery?photo=0")
    assert alone.page.locator("#alike img").nth(0).evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    other = visit(index, "#gallery?photo=1")
    expect(other.page.locator("#alike")).to_be_hidden()


def test_a_report_without_places_has_no_map(invent, photo, tmp_path):
    base = invent()
    index = write_report(
        tmp_path / "report", replace(base, artifacts=base.artifacts.without(PhotoPlace)), open_photo=photo
    )
    assert 'data-page="places"' not in index.read_text(encoding="utf-8")
    assert not (index.parent / "data" / "places.js").exists()

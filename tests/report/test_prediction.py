"""One picture, large: which map is shown, what it says in words and values, and what hiding would do."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from pcn_cli.records.evaluation import Trust
from pcn_cli.report.write import write_report

NBSP = "\N{NO-BREAK SPACE}"


def plain(text):
    return re.sub("[\u2068\u2069]", "", text).replace(NBSP, " ")


def words_of(seen):
    return plain(seen.page.locator("#map-words").inner_text())


def wrong_row(content):
    return next(number for number, p in enumerate(content.predictions) if not p.correct)


def picture_of(seen):
    """The picture with its map as it stands on the screen, once it is painted."""
    seen.page.wait_for_function("document.getElementById('map').width > 100")
    seen.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return Image.open(io.BytesIO(seen.page.locator("#map").screenshot())).convert("RGB")


def value_words(value):
    return f"{abs(value):.3f}" if abs(value) < 0.1 else f"{abs(value):.2f}"


def patch_words(values):
    row, column = np.unravel_index(values.argmax(), values.shape)
    return f"in row {row + 1}, column {column + 1}"


def test_the_map_is_chosen_with_the_keys_and_stands_in_the_address(visit, report):
    seen = visit(report, "#gallery?map=look&photo=0")
    choice = seen.page.get_by_role("group", name="What the map shows")
    choice.get_by_role("radio", name="Look").focus()
    expect(choice.get_by_role("radio", name="Look")).to_be_checked()
    for name in ("evidence", "contrast"):
        seen.page.keyboard.press("ArrowRight")
        expect(choice.get_by_role("radio", name=name.capitalize())).to_be_checked()
        expect(seen.page).to_have_url(re.compile(f"map={name}"))
    expect(seen.page.locator("#prediction")).to_be_visible()


def test_evidence_says_what_hiding_its_strongest_patch_lowers(visit, report, invent):
    content = invent()
    for place in range(3):
        seen = visit(report, f"#gallery?map=evidence&of={place}&photo=0")
        expect(seen.page.locator("#of")).to_have_value(str(place))
        name, values = content.classes[content.maps.evidence_classes[0, place]], content.maps.evidence[0, place]
        assert words_of(seen) == (
            f"Evidence: hiding an orange tile lowers the score of “{name}”, most {patch_words(values)}, "
            f"by {value_words(values.max())}; hiding a purple one raises it. The dashed frame holds what the model saw."
        )


def test_a_contrast_is_the_evidence_for_one_class_less_that_for_another(visit, report, invent):
    content = invent()
    seen = visit(report, "#gallery?map=contrast&of=2&photo=0")
    first, other = (content.classes[content.maps.evidence_classes[0, place]] for place in (0, 2))
    values = content.maps.evidence[0, 0] - content.maps.evidence[0, 2]
    said = words_of(seen)
    assert said.startswith(
        f"Why “{first}” rather than “{other}”: hiding an orange tile lowers the score of “{first}” against"
    )
    assert patch_words(values) in said
    assert float(re.search(r"by ([0-9.]+);", said)[1]) == pytest.approx(values.max(), abs=0.02)


def test_a_mistake_is_contrasted_with_its_label_unless_asked_otherwise(visit, report, invent):
    content = invent()
    number = wrong_row(content)
    seen = visit(report, f"#gallery?map=contrast&photo={number}")
    assert f"rather than “{content.predictions[number].label}”" in words_of(seen)


def test_what_speaks_for_the_class_is_orange_and_what_speaks_against_it_purple(visit, report, invent):
    content = invent()
    evidence = content.maps.evidence[0, 0]
    seen = visit(report, "#gallery?map=evidence&photo=0")
    seen.page.get_by_label("tiles as squares").check()
    for place, warm in ((evidence.argmax(), True), (evidence.argmin(), False)):
        row, column = np.unravel_index(place, (4, 4))
        # The grid covers pixels 10 … 50 of 60 and all 40; patch (r, c) is centred at 16c + 0.5 of 64 input pixels.
        x, y = (10 + (16 * column + 1.5) * 40 / 64) / 60, (16 * row + 1.5) / 64
        picture = picture_of(seen)
        red, _, blue = picture.getpixel((int(x * picture.width), int(y * picture.height)))
        assert (red > blue) is warm


def test_the_values_of_all_patches_can_be_read_with_the_keys(visit, report, invent):
    content = invent()
    values = content.maps.evidence[0, 0].ravel()
    seen = visit(report, "#gallery?map=evidence&photo=0")
    patch = seen.page.get_by_label("Values tile by tile")
    patch.focus()
    seen.page.keyboard.press("Home")
    for key, place in ((None, 0), ("ArrowRight", 1), ("ArrowDown", 5), ("ArrowUp", 1), ("End", 15)):
        if key:
            seen.page.keyboard.press(key)
        row, column = divmod(place, 4)
        said = plain(patch.get_attribute("aria-valuetext"))
        kind = "raises" if values[place] < 0 else "lowers"
        assert f"row {row + 1}, column {column + 1}: hiding it {kind} “{content.predictions[0].predicted}” by" in said
        assert float(said.rsplit(" ", 1)[1]) == pytest.approx(abs(values[place]), abs=0.01)
        expect(seen.page.locator("#patch-mark")).to_be_visible()
    seen.page.keyboard.press("Tab")
    expect(seen.page.locator("#patch-mark")).to_be_hidden()


def test_a_signed_map_has_its_scale_in_words_and_one_of_its_own(visit, report):
    seen = visit(report, "#gallery?map=evidence&photo=0")
    expect(seen.page.locator("#legend")).to_be_visible()
    common = seen.page.locator("#legend").inner_text()
    low, high = re.findall(r"[0-9.]+", common)
    assert low == high
    seen.page.get_by_label("this picture's own scale").check()
    expect(seen.page.locator("#map-words")).to_contain_text("cannot be compared with others")
    assert seen.page.locator("#legend").inner_text() != common


def test_evidence_comes_first_where_the_look_does_not_decide(visit, report, tmp_path, invent, photo):
    seen = visit(report, "#gallery?photo=0")  # its trust says that even attention costs nothing
    expect(seen.page.get_by_role("radio", name="Evidence")).to_be_checked()
    content = invent(6)
    content = replace(content, artifacts=content.artifacts.without(Trust))
    trusted = visit(write_report(tmp_path / "r", content, open_photo=photo), "#gallery?photo=0")
    expect(trusted.page.get_by_role("radio", name="Look")).to_be_checked()
    assert words_of(trusted).startswith("Look: where the pooling took its information, whatever the class.")


def test_the_curves_say_what_is_left_at_every_share(visit, report, invent):
    content = invent()
    seen = visit(report, "#gallery?photo=0")
    slider = seen.page.get_by_label("Hide the tiles it looked at most")
    for place in (0, 5, 20):
        slider.fill(str(place))
        said = plain(seen.page.locator("#hide-words").inner_text())
        left, kept = (f"{100 * curve[place]:.1f} %" for curve in (content.maps.deletion[0], content.maps.insertion[0]))
        without = (
            f"Without the {5 * place} % of tiles it looked at most: “{content.predictions[0].predicted}” {left}. "
            f"With those alone: {kept}."
        )
        assert said == (without if place else f"Nothing hidden: “{content.predictions[0].predicted}” {left}.")
        assert plain(slider.get_attribute("aria-valuetext")) == said
    assert len(seen.page.locator("#deletion").get_attribute("points").split()) == 21
    expect(seen.page.locator("#hiding-numbers")).to_contain_text("50 % hidden")
    expect(seen.page.locator("#hiding-numbers")).to_contain_text("0.50")


def test_the_scrubber_darkens_as_many_patches_as_it_says(visit, report):
    seen = visit(report, "#gallery?map=look&look=photo&photo=0")
    slider = seen.page.get_by_label("Hide the tiles it looked at most")
    shares = []
    for place in (5, 10, 20):
        slider.fill(str(place))
        expect(seen.page.locator("#hide-share")).to_have_text(f"{5 * place} %")
        picture = picture_of(seen)
        # The middle 40 of 60 pixels are what the model saw.
        middle = picture.crop((picture.width // 6 + 1, 0, picture.width * 5 // 6 - 1, picture.height))
        shares.append(float((np.asarray(middle.convert("L")) < 60).mean()))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.02)
    assert 0.1 < shares[0] < 0.45  # 4 of 16 patches, of which those at the edge are larger
    expect(seen.page.locator("#map-words")).to_contain_text("Without the 100 % of tiles it looked at most")


def test_another_picture_begins_with_nothing_hidden(visit, report):
    seen = visit(report, "#gallery?photo=0")
    seen.page.get_by_label("Hide the tiles it looked at most").fill("8")
    seen.page.get_by_role("link", name="Next picture").click()
    expect(seen.page.locator("#hide-share")).to_have_text("0 %")
    assert "Without" not in words_of(seen)


def test_a_run_without_evidence_offers_the_look_alone(visit, tmp_path, invent, photo):
    content = invent(6)
    content = replace(content, maps=replace(content.maps, evidence=None))
    seen = visit(write_report(tmp_path / "report", content, open_photo=photo), "#gallery?map=evidence&photo=0")
    expect(seen.page.locator("#map-words")).to_contain_text("Look: where the pooling took its information")
    expect(seen.page.locator("[name=map]")).to_have_count(0)
    expect(seen.page.locator("#what-if")).to_be_visible()
    expect(seen.page.locator("#curves")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_while_patches_are_hidden(visit, report, scheme):
    seen = visit(report, "#gallery?map=look&photo=0", color_scheme=scheme)
    seen.page.get_by_label("Hide the tiles it looked at most").fill("8")
    seen.page.get_by_label("Values tile by tile").focus()
    found = Axe().run(seen.page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []


def test_pictures_that_flip_can_be_filtered_and_the_look_can_order_them(visit, tmp_path, invent, photo):
    base = invent(12)
    predictions = tuple(
        replace(p, hiding=replace(p.hiding, srg=(number * 5 % 12) / 12)) for number, p in enumerate(base.predictions)
    )
    index = write_report(tmp_path / "report", replace(base, predictions=predictions), open_photo=photo)
    seen = visit(index, "#gallery")
    seen.page.get_by_role("checkbox", name="flips when hidden").check()
    expect(seen.page).to_have_url(re.compile(r"show=flips$"))
    flips = {n for n, p in enumerate(predictions) if p.hiding.hidden_top != p.predicted}
    rows = "tiles => tiles.map((t) => Number(t.dataset.row))"
    assert set(seen.page.locator("#tiles .tile").evaluate_all(rows)) == flips
    for sort, sign in (("srg", -1), ("srg-low", 1)):
        seen.go(f"#gallery?sort={sort}")
        shown = seen.page.locator("#tiles .tile").evaluate_all(rows)
        assert shown == sorted(range(12), key=lambda n: (sign * predictions[n].hiding.srg, n))


def test_the_curve_can_be_dragged(visit, report):
    seen = visit(report, "#gallery?map=look&photo=0")
    curve = seen.page.locator("#curve")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(seen.page.locator("#hide-share")).to_have_text("50 %")


def test_the_picture_that_is_open_is_printed_alone(visit, report):
    seen = visit(report, "#gallery?map=evidence&photo=0")
    expect(seen.page.locator("#hiding")).to_be_visible()
    seen.page.emulate_media(media="print")
    for shown in ("#photo", "#map-words", "#legend", "#bars", "#hiding"):
        expect(seen.page.locator(shown)).to_be_visible()
    for tool in ("main", "#maps", "#wipe", "#close", "#note"):
        expect(seen.page.locator(tool)).to_be_hidden()


def test_where_every_class_has_a_token_the_look_is_that_of_the_class_predicted(visit, tmp_path, invent, photo):
    base = invent(6)
    content = replace(
        base,
        artifacts=base.artifacts.without(Trust),
        model=replace(base.model, model_args={"class_tokens": True}),
    )
    seen = visit(write_report(tmp_path / "report", content, open_photo=photo), "#gallery?photo=0")
    said = f"Look: where the token of “{content.predictions[0].predicted}” took its information."
    expect(seen.page.locator("#map-words")).to_contain_text("took its information")
    assert words_of(seen).startswith(said)
    expect(seen.page.locator("#of-choice")).to_be_hidden()  # in runs of before only that one is kept


def test_the_look_of_every_probable_class_can_be_chosen_where_it_has_a_token(visit, tmp_path, invent, photo):
    base = invent(6)
    class_looks = np.stack([np.eye(16).reshape(-1, 4, 4)[[5, 10, 15]]] * 6)
    content = replace(
        base,
        artifacts=base.artifacts.without(Trust),
        maps=replace(base.maps, class_looks=class_looks),
        model=replace(base.model, model_args={"class_tokens": True}),
    )
    seen = visit(write_report(tmp_path / "report", content, open_photo=photo), "#gallery?map=look&photo=0")
    first = picture_of(seen)
    second = base.classes[base.maps.evidence_classes[0, 1]]
    expect(seen.page.locator("#of-words")).to_have_text("of")
    seen.page.locator("#of").select_option("1")
    expect(seen.page.locator("#map-words")).to_contain_text(second)
    assert words_of(seen).startswith(f"Look: where the token of “{second}” took its information.")
    assert "of=1" in seen.page.url
    assert picture_of(seen) != first

"""Keys of the opened picture, and buttons that copy what is to be typed."""

from playwright.sync_api import expect


def test_s_stars_the_picture_and_m_takes_the_map_away(visit, report):
    seen = visit(report, "#gallery?photo=0")
    star, canvas = seen.page.locator("#star"), seen.page.locator("canvas#map")
    seen.page.keyboard.press("s")
    expect(star).to_have_attribute("aria-pressed", "true")
    seen.page.keyboard.press("m")
    expect(canvas).to_be_hidden()
    seen.page.locator("#note").fill("some maples")  # letters of a note are no keys
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(canvas).to_be_hidden()
    seen.go("#gallery?photo=1")
    expect(canvas).to_be_visible()


def test_commands_have_a_button_that_copies_them(visit, report):
    seen = visit(report, "#reproduce", permissions=["clipboard-read", "clipboard-write"])
    button = seen.page.get_by_role("button", name="Copy: Command")
    button.click()
    expect(button).to_have_text("Copied")
    assert seen.page.evaluate("navigator.clipboard.readText()") == "pcn finetune photos"


def test_the_meaning_of_a_word_is_read_out_and_shown(visit, report):
    seen = visit(report)
    seen.page.locator("#overview .fold > summary").click()
    word = seen.page.get_by_role("button", name="Log-loss: How surprised")
    word.hover()
    assert "How surprised" in word.evaluate("(one) => getComputedStyle(one, '::after').content")

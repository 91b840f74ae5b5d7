"""Pictures of every page of a report, light and dark, at three widths: `python tests/screenshots.py RUN OUT`.

RUN is a run folder with a report, or a report's index.html. Where OUT is a .webp, it is the one picture of the README
instead: `pcn demo && python tests/screenshots.py pcn-demo/run examples/report.webp`.
"""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = {1440: 900, 768: 1024, 360: 780}
TITLE_WIDTH = 1400
SCHEMES = ("light", "dark")


def take_screenshots(index: Path, folder: Path) -> list[Path]:
    """The pictures that were written, named PAGE-SCHEME-WIDTH.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        taken = [
            path
            for scheme in SCHEMES
            for width, height in WIDTHS.items()
            for path in _walk(browser, index, folder, scheme=scheme, size=(width, height))
        ]
        browser.close()
    return taken


def take_title(index: Path, path: Path) -> Path:
    """The picture for the README at `path`: the head of the overview, and a row of the gallery below it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_context(offline=True, viewport={"width": TITLE_WIDTH, "height": 1100}).new_page()
        page.goto(index.resolve().as_uri())
        page.wait_for_selector("html.ready")
        page.wait_for_timeout(1000)
        head = _cut(page, 0, page.get_by_text("The surest mistakes").bounding_box()["y"] - 20)
        page.evaluate("location.hash = '#gallery?sort=border'")
        page.wait_for_timeout(1500)
        top = page.get_by_role("button", name="Load stars.csv").bounding_box()
        row = _cut(page, top["y"] + top["height"] + 12, 360)
        browser.close()
    picture = Image.new("RGB", (head.width, head.height + row.height))
    picture.paste(head, (0, 0))
    picture.paste(row, (0, head.height))
    picture.save(path, quality=82, method=6)
    return path


def _cut(page: Page, top: float, height: float) -> Image.Image:
    clip = {"x": 0, "y": top, "width": TITLE_WIDTH, "height": height}
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")


def _walk(browser: Browser, index: Path, folder: Path, *, scheme: str, size: tuple[int, int]) -> list[Path]:
    width, height = size
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto(index.resolve().as_uri())
    page.wait_for_selector("html.ready")
    taken = []
    for name, address in _addresses(page).items():
        page.evaluate("(address) => { location.hash = address; }", address)
        # What lies below the window waits for being scrolled to.
        page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
        page.wait_for_timeout(700)  # maps are painted as their pictures arrive
        path = folder / f"{name}-{scheme}-{width}.png"
        page.screenshot(path=path, full_page=name != "prediction")
        taken.append(path)
    context.close()
    return taken


def _addresses(page: Page) -> dict[str, str]:
    names = page.eval_on_selector_all("nav [data-page]", "links => links.map((link) => link.dataset.page)")
    return {name: f"#{name}" for name in names} | {"prediction": "#gallery?photo=0"}


def main() -> None:
    """Read the command line and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    index = arguments.run if arguments.run.suffix == ".html" else arguments.run / "report" / "index.html"
    if arguments.out.suffix == ".webp":
        print(f"{take_title(index, arguments.out)}: {arguments.out.stat().st_size:,} bytes")
        return
    print(f"{len(take_screenshots(index, arguments.out))} pictures in {arguments.out}")


if __name__ == "__main__":
    main()

"""How large, how fast and how memory-hungry a report is: the table in RESULTS.md.

    python tests/benchmarks/report.py [--photos FOLDER]
    python tests/benchmarks/report.py --rows 100000

Writes 1,000, 10,000 and 20,000 invented predictions and opens the last in chromium. Pictures are drawn, or those of
FOLDER, cut to 224 × 224 pixels. With --rows one report of so many is opened instead, whose pictures have 8 pixels a
side and no maps, and its map of 10,000 points is painted. Prints Markdown; takes about four minutes.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image, ImageOps
from playwright.sync_api import Page, sync_playwright

from pcn_cli.data.drawing import HUES, develop, draw_ground, draw_thing
from pcn_cli.data.load.open_image import open_photo
from pcn_cli.records.codec import field_names
from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.predictions import AttentionMaps, AttentionNumbers, HidingNumbers, PhotoPlace, Prediction
from pcn_cli.report.content import Artifacts, ReportContent
from pcn_cli.report.write import write_report

CHROMIUM = Path("/usr/bin/chromium")
PIXELS, GRID, CLASSES, PICTURES, REPEATS = 224, 14, 100, 48, 5
POINTS, FRAMES = 10_000, 40
FILTERS = {
    "wrong": "#gallery?show=wrong",
    "unsure and flipping when hidden": "#gallery?show=unsure,flips",
    "one class": "#gallery?label=class%2007",
    "a confusion": "#gallery?label=class%2007&predicted=class%2008",
    "part of a file name": "#gallery?find=77",
    "order by SRG": "#gallery?sort=srg",
    "as a table": "#gallery?as=table&sort=sure",
}
NODES = ("#overview", "#gallery", "#gallery?as=table", "#classes", "#confusions", "#gallery?photo=7")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what a report costs.")
    parser.add_argument("--photos", type=Path, help="a folder of photos; otherwise pictures are drawn")
    parser.add_argument("--rows", type=int, help="open a report of so many predictions, whose pictures are tiny")
    parser.add_argument("--only-write", nargs=2, metavar=("COUNT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_write:
        count, folder = arguments.only_write
        print(json.dumps(measure_writing(int(count), Path(folder), arguments.photos)))
        return
    print("| | goal | measured |", "|---|---|---|", sep="\n")
    if arguments.rows:
        with TemporaryDirectory() as folder:
            for name, goal, measured in measure_rows(arguments.rows, Path(folder) / "report"):
                print(f"| {name} | {goal} | {measured} |", flush=True)
        return
    with TemporaryDirectory() as folder:
        written = {count: write_apart(count, Path(folder) / str(count), arguments.photos) for count in (1000, 10_000)}
        few, many = written.values()
        print(f"| files of 10,000 predictions at {PIXELS} px | ≤ 110 MB | {many['bytes'] / 1e6:.1f} MB |")
        busy = f"{many['busy'] / 10:.1f} s of one core"
        print(f"| writing 1,000 predictions | | {many['seconds'] / 10:.1f} s, {busy} |")
        print(f"| memory for writing 1,000 and 10,000 | flat | {few['memory']:.0f} and {many['memory']:.0f} MB |")
        write_apart(20_000, Path(folder) / "20000", arguments.photos)
        for name, goal, measured in measure_page(Path(folder) / "20000" / "index.html"):
            print(f"| {name} | {goal} | {measured} |")


def write_apart(count: int, folder: Path, photos: Path | None) -> dict[str, float]:
    """What `measure_writing` gives in a process of its own, whose memory held nothing before."""
    words = [sys.executable, __file__, "--only-write", str(count), str(folder)]
    if photos is not None:
        words += ["--photos", str(photos)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def measure_writing(count: int, folder: Path, photos: Path | None) -> dict[str, float]:
    """What writing a report took: seconds, those that the processor worked, bytes, MB beyond what the report shows."""
    pictures = read_pictures(photos) if photos else draw_pictures()
    content = invent_content(count)
    before = psutil.Process().memory_info().rss
    started, busy = time.perf_counter(), time.process_time()
    write_report(folder, content, open_photo=lambda file: pictures[number_of(file) % len(pictures)].copy())
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"seconds": seconds, "busy": busy, "bytes": size, "memory": (peak - before) / 1e6}


def measure_page(index: Path) -> list[tuple[str, str, str]]:
    """What was measured of an opened report: its name, the goal, the figure."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(offline=True)
        opening = median(repeat(lambda: open_page(page, index)))
        rows = [("opening 20,000 predictions", "< 2 s", f"{opening:.2f} s")]
        for name, address in FILTERS.items():
            milliseconds = median(repeat(lambda address=address: follow(page, address)))
            rows.append((f"filter: {name}", "< 100 ms", f"{milliseconds:.0f} ms"))
        nodes = max(count_nodes(page, address) for address in NODES)
        browser.close()
    return [*rows, ("DOM nodes, at most", "< 3,000", f"{nodes:,}")]


class Places(Artifacts):
    """The places of the map, and nothing else."""

    def __init__(self, places: Sequence[PhotoPlace]) -> None:
        self._places = tuple(places)

    def rows(self, kind: type) -> tuple:
        """The places."""
        return self._places if kind is PhotoPlace else ()


def measure_rows(count: int, folder: Path) -> Iterator[tuple[str, str, str]]:
    """What opening a report of so many rows takes, and a frame of its map while a lasso is drawn."""
    content = invent_content(count, mapped=False)
    rng = np.random.default_rng(1)
    drawn = zip(content.predictions[:POINTS], rng.normal(0.5, 0.15, (POINTS, 2)).clip(0, 1).tolist(), strict=False)
    places = [PhotoPlace(file=one.file, split="test", label=one.label, x=x, y=y) for one, (x, y) in drawn]
    before, tiny = time.process_time(), Image.new("RGB", (8, 8), (90, 120, 60))
    write_report(folder, replace(content, artifacts=Places(places)), open_photo=lambda _: tiny.copy())
    yield f"writing {count:,} rows with pictures of 8 pixels", "", f"{time.process_time() - before:.0f} s of one core"
    size = (folder / "data" / "rows.js").stat().st_size
    yield "what is loaded before anything is shown", "", f"{size / 1e6:.1f} MB"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(offline=True)
        opened = [measure_busy(lambda: open_page(page, folder / "index.html")) for _ in range(REPEATS)]
        wall, busy = (median(each) for each in zip(*((seconds, busy) for seconds, busy in opened), strict=True))
        yield f"opening {count:,} predictions", "≤ 3 s", f"{wall:.2f} s, {busy:.2f} s of processors"
        page.evaluate("location.hash = '#places'")
        page.wait_for_selector("#map-key li")
        page.locator("#map-canvas").hover()
        page.mouse.down()
        frames = [measure_busy(lambda: draw_lasso(page)) for _ in range(REPEATS)]
        wall, busy = (median(1000 * each / FRAMES for each in own) for own in zip(*frames, strict=True))
        name = f"a frame of the map of {len(places):,} points, lasso drawn"
        yield name, "≤ 100 ms", f"{wall:.0f} ms, {busy:.0f} ms of processors"
        browser.close()


def draw_lasso(page: Page) -> float:
    """Seconds for so many frames with one more place of the lasso that is being drawn in each."""
    return page.evaluate(
        """async (frames) => {
          const canvas = document.getElementById("map-canvas");
          const { left, top } = canvas.getBoundingClientRect();
          const began = performance.now();
          for (let at = 0; at < frames; at += 1) {
            const place = { clientX: left + 200 + 150 * Math.cos(at / 5), clientY: top + 200 + 150 * Math.sin(at / 5) };
            canvas.dispatchEvent(new PointerEvent("pointermove", { ...place, buttons: 1 }));
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          }
          return (performance.now() - began) / 1000;
        }""",
        FRAMES,
    )


def measure_busy(work: Callable[[], float]) -> tuple[float, float]:
    """What `work` says that it took, and the seconds that the browser's processes worked meanwhile."""
    before = _busy_below()
    return work(), _busy_below() - before


def _busy_below() -> float:
    """Processor seconds of all processes below this one, as far as they still live."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def open_page(page: Page, index: Path) -> float:
    """Seconds until the report is drawn, in a page that held nothing."""
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(index.as_uri() + "#gallery")
    page.wait_for_selector("html.ready")
    return time.perf_counter() - started


def follow(page: Page, address: str) -> float:
    """Milliseconds until the gallery shows `address`, coming from all pictures."""
    return page.evaluate(
        """async (address) => {
          const arrive = (hash) => new Promise((done) => {
            addEventListener("hashchange", () => requestAnimationFrame(() => setTimeout(done)), { once: true });
            location.hash = hash;
          });
          await arrive("#overview");
          await arrive("#gallery?sort=file");
          await new Promise((done) => setTimeout(done, 300));  // maps are painted as their pictures arrive
          const started = performance.now();
          await arrive(address);
          return performance.now() - started;
        }""",
        address,
    )


def count_nodes(page: Page, address: str) -> int:
    """Elements in the page at `address`."""
    page.evaluate("(address) => { location.hash = address; }", address)
    page.wait_for_timeout(500)
    return page.evaluate("document.querySelectorAll('*').length")


def repeat(measure: Callable[[], float]) -> list[float]:
    """What `measure` gives, several times; the first, which warms up, is not among them."""
    return [measure() for _ in range(REPEATS + 1)][1:]


def invent_content(count: int, *, mapped: bool = True) -> ReportContent:
    """A report's content with everything that a prediction can have, from one seed; maps only where `mapped`."""
    rng = np.random.default_rng(0)
    classes = tuple(f"class {number:02}" for number in range(CLASSES))
    placement = Placement(
        width=PIXELS, height=PIXELS, input_width=PIXELS, input_height=PIXELS, box=(0, 0, PIXELS, PIXELS)
    )
    predictions, arrays = [], defaultdict(list)
    for number in range(count):
        truth = number % CLASSES
        scores = rng.normal(0, 1, CLASSES) + 4 * (np.arange(CLASSES) == truth)
        p = np.exp(scores) / np.exp(scores).sum()
        order = np.argsort(-p)
        file = f"{classes[truth]}/photo-{number:06}.jpg"
        predictions.append(
            Prediction(
                file=file,
                predicted=classes[order[0]],
                confidence=float(p[order[0]]),
                probabilities=tuple(p.round(5).tolist()),
                attention=AttentionNumbers(
                    **dict(zip(field_names(AttentionNumbers), rng.uniform(0, 2, 10), strict=True))
                ),
                hiding=invent_hiding(rng, classes[order[rng.integers(2)]]),
                split="test",
                label=classes[truth],
            )
        )
        if not mapped:
            continue
        arrays["looks"].append(rng.gamma(0.5, 1, (GRID, GRID)).astype(np.float32))
        arrays["evidence"].append(rng.normal(0, 0.2, (3, GRID, GRID)).astype(np.float32))
        arrays["evidence_classes"].append(order[:3])
        arrays["deletion"].append(np.sort(rng.random(21).astype(np.float32))[::-1])
        arrays["insertion"].append(np.sort(rng.random(21).astype(np.float32)))
    maps = mapped and AttentionMaps(
        files=tuple(one.file for one in predictions),
        placements=(placement,) * count,
        patch_grid=PatchGrid(),
        **{name: np.stack(values) for name, values in arrays.items()},
    )
    return ReportContent(
        title="invented", run="run-1", classes=classes, predictions=tuple(predictions), maps=maps or None
    )


def invent_hiding(rng: np.random.Generator, hidden_top: str) -> HidingNumbers:
    """What hiding half of the look did, as a draw."""
    numbers = {name: float(rng.random()) for name in field_names(HidingNumbers) if name != "hidden_top"}
    return HidingNumbers(hidden_top=hidden_top, **numbers)


def draw_pictures() -> list[Image.Image]:
    """Some drawn photos."""
    pictures = []
    for number in range(PICTURES):
        rng = np.random.default_rng([1, number])
        picture, thing = draw_ground(PIXELS, PIXELS, rng), draw_thing(list(HUES)[number % len(HUES)], 150, rng)
        picture.paste(thing, (37, 37), thing)
        pictures.append(develop(picture, rng))
    return pictures


def read_pictures(folder: Path) -> list[Image.Image]:
    """The first photos of a folder, cut to squares, evenly over it."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = files[:: max(1, len(files) // PICTURES)][:PICTURES]
    return [ImageOps.fit(open_photo(path), (PIXELS, PIXELS)).convert("RGB") for path in chosen]


def number_of(file: str) -> int:
    """The number in the file's name."""
    return int(Path(file).stem.removeprefix("photo-"))


if __name__ == "__main__":
    main()

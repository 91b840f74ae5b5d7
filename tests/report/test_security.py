"""Hostile text in every place where a report shows text of others: it changes nothing but text."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pcn_cli.data.load.open_image import open_photo
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SkippedFile
from pcn_cli.report.content import Reproduce, ScanFacts
from pcn_cli.report.write import write_report

# What might end the place the text stands in …
ENDS = (
    "",
    '">',
    "'>",
    "</script>",
    "</style>",
    "</template>",
    "</noscript>",
    "</title>",
    "-->",
    "]]>",
    "`}",
    "</a></dl>",
)
# … and what might then run, or become an element, an attribute or another text.
VECTORS = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'>",
    "<a href='javascript:window.hacked=1' autofocus onfocus=window.hacked=1>a",
    "<math><mglyph><style><img src=x onerror=window.hacked=1>",
    '" onmouseover="window.hacked=1" x="',
    "{{ 7 * 7 }}{% raw %}${window.hacked=1}",
    "\\u003cscript\\u003ewindow.hacked=1\\u003c/script\\u003e&lt;script&gt;",
    "\u202egnp.exe\u2066\u2028\u2029\x0b\x7f<b>",
)
PAYLOADS = tuple(end + vector for end, vector in itertools.product(ENDS, VECTORS))
HARMLESS = tuple(f"word {number}" for number in range(len(PAYLOADS)))
ADDRESSES = (
    "#overview",
    "#gallery",
    "#gallery?as=table",
    "#gallery?photo=1",
    "#gallery?map=evidence&photo=0",
    "#gallery?map=contrast&photo=1",
    "#classes",
    "#confusions",
    "#health",
    "#card",
    "#reproduce",
)


def test_there_are_120_payloads():
    assert len(set(PAYLOADS)) == 120


def with_classes(invent, words):
    """A report whose classes are called `words`, each with a picture that is right and one that is wrong."""
    base, count = invent(2 * len(words)), len(words)
    predictions = tuple(
        replace(
            one,
            file=f"{number}.jpg",
            label=words[number % count],
            predicted=words[(number + number // count) % count],
            probabilities=tuple(np.roll(np.full(count, 1 / count), number).tolist()),
            hiding=replace(one.hiding, hidden_top=words[number % count]),
        )
        for number, one in enumerate(base.predictions)
    )
    scan = ScanFacts(parts={"test": dict.fromkeys(words, 2)})
    rows = tuple(replace(base.per_class[0], label=word) for word in words)
    model = replace(base.model, classes=words)
    return replace(base, classes=words, predictions=predictions, maps=None, per_class=rows, scan=scan, model=model)


def with_files(invent, words):
    """A report whose files are called `words`."""
    base = invent(len(words))
    predictions = tuple(replace(one, file=word) for one, word in zip(base.predictions, words, strict=True))
    unreadable = tuple(SkippedFile(file=word, reason="truncated") for word in words)
    return replace(base, predictions=predictions, maps=None, scan=replace(base.scan, unreadable=unreadable))


def with_run_name(invent, words):
    """A report whose run is called like all `words` one after the other."""
    return replace(invent(9), title=" ".join(words), run=" ".join(words), facts=words)


def with_metadata(invent, words):
    """A report whose model, recipe and versions say `words`."""
    base, told = invent(9), " ".join(words)
    reproduce = Reproduce(
        command=told,
        recipe=told,
        versions=dict(zip(words, words, strict=True)),
        facts=tuple(zip(words, words, strict=True)),
    )
    return replace(base, reproduce=reproduce, model=replace(base.model, card=told, licence=told, architecture=told))


def with_errors(invent, words):
    """A report whose unreadable files and findings say `words`."""
    base = invent(9)
    unreadable = tuple(SkippedFile(file="a.jpg", reason=word) for word in words)
    findings = tuple(Finding(severity="note", title=word, evidence=word, remedy=word) for word in words)
    return replace(base, findings=findings, scan=replace(base.scan, unreadable=unreadable))


PLACES = {
    "class": with_classes,
    # Classes stand in the order of their names, which the number in front keeps.
    "class in the matrix": lambda invent, words: with_classes(
        invent, tuple(map("{} {}".format, range(24), words[::5]))
    ),
    "file": with_files,
    "run name": with_run_name,
    "model metadata": with_metadata,
    "error text": with_errors,
}


def shapes_of(seen):
    shapes = {}
    for address in ADDRESSES:
        seen.go(address)
        if "photo" in address:
            expect(seen.page.locator("#bars tr").first).to_be_visible()
        shapes[address] = seen.shape()
    return shapes


@pytest.mark.parametrize("place", PLACES)
def test_120_payloads_change_nothing_but_text(visit, tmp_path, invent, photo, place):
    shapes = {}
    for kind, words in (("harmless", HARMLESS), ("hostile", PAYLOADS)):
        content = PLACES[place](invent, words)
        index = write_report(tmp_path / kind, content, open_photo=lambda _: photo(""))
        seen = visit(index)
        shapes[kind] = shapes_of(seen)
        assert seen.page.evaluate("typeof window.hacked") == "undefined"
    assert shapes["hostile"] == shapes["harmless"]
    text = seen.page.evaluate("document.documentElement.textContent")
    assert "window.hacked" in text  # the payloads were really shown


def test_120_payloads_in_the_address_change_nothing_but_text(visit, report):
    seen = visit(report, "#gallery?find=nothing&label=nothing&show=nothing")
    shape, count = seen.shape(), seen.page.evaluate("document.querySelectorAll('*').length")
    fields = ("show", "label", "predicted", "find", "sort", "as", "look", "page", "map", "of", "photo")
    for payload in PAYLOADS:
        seen.go("#gallery?" + "&".join(f"{field}={quote(payload, safe='')}" for field in fields))
        assert seen.page.evaluate("document.querySelectorAll('*').length") == count, payload
    assert seen.shape() == shape
    assert seen.page.evaluate("typeof window.hacked") == "undefined"


def write_photo(path: Path, text: str) -> None:
    """A JPEG that carries `text` and a place in its metadata."""
    picture = Image.effect_noise((80, 60), 50).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x8298] = text
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (48.0, 8.0, 13.0), "E", (11.0, 34.0, 31.0)
    picture.save(path, exif=exif, comment=text.encode("utf-8", "replace"))


def test_nothing_of_a_files_metadata_reaches_the_report(visit, tmp_path, invent):
    content = invent(len(PAYLOADS), looks=False)
    (tmp_path / "photos").mkdir()
    for number, payload in enumerate(PAYLOADS):
        write_photo(tmp_path / "photos" / f"{number}.jpg", payload)
    predictions = tuple(replace(one, file=f"{n}.jpg") for n, one in enumerate(content.predictions))
    index = write_report(
        tmp_path / "report",
        replace(content, predictions=predictions),
        open_photo=lambda file: open_photo(tmp_path / "photos" / file),
        thumbnail=40,
    )
    written = [path for path in index.parent.rglob("*") if path.is_file()]
    assert sum(path.suffix == ".webp" for path in written) >= len(PAYLOADS)
    for path in written:
        found = path.read_bytes()
        assert b"hacked" not in found, path
        if path.suffix == ".webp":
            assert not any(tag in found for tag in (b"EXIF", b"Exif", b"XMP ", b"ICCP")), path
            with Image.open(path) as picture:
                assert not picture.getexif()
    assert visit(index).page.evaluate("typeof window.hacked") == "undefined"


def test_a_chunk_of_hostile_text_holds_no_markup():
    from pcn_cli.report.page_data import as_script

    script = as_script("rows", PAYLOADS).decode("ascii")
    assert "<" not in script
    assert json.loads(json.loads(script.removeprefix('pcnData("rows",').removesuffix(");\n"))) == list(PAYLOADS)

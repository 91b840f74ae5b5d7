import json
import re
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pcn_cli.errors import DataError
from pcn_cli.report import write
from pcn_cli.report.content import Reproduce
from pcn_cli.report.pictures import as_webp
from pcn_cli.report.write import write_report


def read_chunk(folder, name):
    script = (folder / "data" / f"{name}.js").read_text()
    _, value = json.loads("[" + script.removeprefix("pcnData(").removesuffix(");\n") + "]")
    return json.loads(value)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_report_is_exactly_these_files(tmp_path, invent, photo):
    index = write_report(tmp_path / "report", invent(3), open_photo=photo)
    assert index == tmp_path / "report" / "index.html"
    pictures = [f"img/{number}.webp" for number in range(3)]
    data = [f"data/{name}.js" for name in ("classes", "desk", "detail-0", "places", "rows")]
    assert names(tmp_path / "report") == [*data, "figures/0.svg", *pictures, "img/pair-0.webp", "index.html"]


def test_the_rows_hold_every_prediction_in_its_order(tmp_path, invent, photo):
    content = invent(450)
    write_report(tmp_path / "report", content, open_photo=photo)
    rows = read_chunk(tmp_path / "report", "rows")
    assert rows["file"] == [prediction.file for prediction in content.predictions]
    assert [rows["names"][label] for label in rows["label"]] == [p.label for p in content.predictions]
    details = [row for number in range(3) for row in read_chunk(tmp_path / "report", f"detail-{number}")]
    assert len(details) == 450
    assert [rows["names"][row["top"][0][0]] for row in details] == [p.predicted for p in content.predictions]


def test_large_photos_get_a_large_picture_up_to_the_limit(tmp_path, invent, monkeypatch):
    monkeypatch.setattr(write, "LARGE", 200)
    monkeypatch.setattr(write, "MOST_LARGE", 3)
    write_report(tmp_path / "report", invent(4), open_photo=lambda _: Image.new("RGB", (500, 300)), thumbnail=100)
    large = [name for name in names(tmp_path / "report") if name.endswith("-large.webp")]
    assert len(large) == sum(read_chunk(tmp_path / "report", "rows")["large"]) == 3
    for name, size in ((large[0], (200, 120)), ("img/0.webp", (100, 60))):
        with Image.open(tmp_path / "report" / name) as picture:
            assert picture.size == size


@pytest.mark.parametrize("error", [DataError("0 bytes"), FileNotFoundError("gone")])
def test_a_photo_that_is_gone_keeps_its_numbers_and_is_named(tmp_path, invent, photo, error):
    content = invent(4)
    gone = content.predictions[2].file

    def open_photo(file):
        if file == gone:
            raise error
        return photo(file)

    index = write_report(tmp_path / "report", content, open_photo=open_photo)
    rows = read_chunk(index.parent, "rows")
    assert rows["file"][2] == gone
    assert rows["width"] == [60, 60, 0, 60]
    assert re.search(rf"could not be opened.*{re.escape(gone)}", index.read_text(), re.DOTALL)


def test_a_bug_while_writing_leaves_the_older_report(tmp_path, invent, photo):
    index = write_report(tmp_path / "report", invent(2), open_photo=photo)
    before = index.read_bytes()

    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path / "report", invent(3), open_photo=broken)
    assert index.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_overlay_files_stand_beside_the_pictures_for_readers_without_script(tmp_path, invent, photo):
    content = invent(3)
    Image.new("RGB", (60, 40), "blue").save(tmp_path / "overlay.png")
    content = replace(content, overlays={content.predictions[1].file: tmp_path / "overlay.png"})
    index = write_report(tmp_path / "report", content, open_photo=photo)
    assert (index.parent / "img/1-map.webp").is_file()
    assert 'src="img/1-map.webp"' in index.read_text()


def test_progress_is_told_picture_by_picture(tmp_path, invent, photo):
    told = []
    write_report(
        tmp_path / "report", invent(3), open_photo=photo, on_picture=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_absolute_path_reaches_the_report(tmp_path, invent, photo):
    home = str(Path.home() / "pictures")
    content = invent(3)
    moved = tuple(replace(p, file=f"{home}/{p.file}") for p in content.predictions)
    content = replace(
        content,
        predictions=moved,
        maps=None,
        facts=(f"from {home}",),
        reproduce=Reproduce(command=f"pcn finetune {home}/flowers", recipe=f"labels: {home}/labels.csv"),
    )
    index = write_report(tmp_path / "report", content, open_photo=photo)
    for path in index.parent.rglob("*"):
        if path.suffix in (".html", ".js"):
            assert str(Path.home()) not in path.read_text()
            assert str(tmp_path) not in path.read_text()
    assert read_chunk(index.parent, "rows")["file"] == [p.file.removeprefix(f"{home}/") for p in moved]


def test_names_that_are_no_text_do_not_stop_the_report(tmp_path, invent, photo):
    content = invent(3, name=lambda text: text + "\udcff")
    index = write_report(tmp_path / "report", content, open_photo=photo)
    assert "birch\N{REPLACEMENT CHARACTER}" in index.read_text(encoding="utf-8")


def test_a_report_of_nothing_is_still_a_report(tmp_path, invent, photo):
    index = write_report(tmp_path / "report", replace(invent(1, labelled=False), predictions=()), open_photo=photo)
    assert "0\N{NO-BREAK SPACE}pictures" in index.read_text(encoding="utf-8")


def test_writing_needs_none_of_the_heavy_libraries(tmp_path):
    program = """
import sys
from pathlib import Path
from PIL import Image
from pcn_cli.records.predictions import AttentionNumbers, Prediction
from pcn_cli.report.content import ReportContent
from pcn_cli.records.codec import field_names
from pcn_cli.report.write import write_report
numbers = AttentionNumbers(**dict.fromkeys(field_names(AttentionNumbers), 1.0))
one = Prediction(file="a.jpg", predicted="a", confidence=1.0, probabilities=(1.0,), attention=numbers)
content = ReportContent(title="t", run="r", classes=("a",), predictions=(one,))
write_report(Path(sys.argv[1]), content, open_photo=lambda _: Image.new("RGB", (9, 9)))
heavy = {"torch", "torchvision", "timm", "albumentations", "sklearn", "scipy", "cv2", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "report")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report/index.html").is_file()


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [((800, 600), 384, (384, 288)), ((30, 60), 384, (30, 60)), ((5000, 2), 100, (100, 1))],
)
def test_pictures_are_made_smaller_and_never_larger(size, longest, expected):
    content, told = as_webp(Image.new("RGB", size), longest=longest)
    assert told == expected == Image.open(BytesIO(content)).size


def test_nothing_of_the_files_metadata_travels_along():
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    exif.get_ifd(0x8825)[1] = "N"
    file = BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif, comment=b"a secret")
    with Image.open(file) as photo:
        assert photo.getexif()[0x010E] == "a secret"
        content, _ = as_webp(photo, longest=384)
    assert b"secret" not in content
    assert b"EXIF" not in content
    assert not Image.open(BytesIO(content)).getexif()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_mode_becomes_a_picture(mode):
    content, _ = as_webp(Image.new(mode, (20, 20)), longest=10)
    assert Image.open(BytesIO(content)).mode == "RGB"

import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import warnings
from functools import partial

import pytest
from PIL import Image, ImageOps

from pcn_cli.data.load.open_image import open_photo
from pcn_cli.data.scan import scan_photos as module
from pcn_cli.data.scan.decode import inspect_files
from pcn_cli.data.scan.scan_photos import check_scan, other_part, scan_photos
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.recipe.schema import Labelling
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.photos import Photo, Scan, SkippedFile


def files_of(scan):
    return sorted(item.file for group in (scan.photos, scan.unreadable, scan.ignored) for item in group)


def snapshot(folder):
    return {
        path.relative_to(folder): (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.rglob("*"))
    }


def test_each_photo_has_its_label_size_and_hash(photo_folder):
    scan = scan_photos(photo_folder)
    assert scan.layout == "class folders"
    assert scan.classes == {"blue": 12, "green": 12, "red": 12}
    photo = scan.photos[13]
    assert (photo.file, photo.label, photo.width, photo.height) == ("green/01.jpg", "green", 56, 41)
    assert photo.sha256 == hashlib.sha256((photo_folder / photo.file).read_bytes()).hexdigest()
    assert from_plain(Scan, json.loads(json.dumps(to_plain(scan)))) == scan


def test_the_result_is_the_same_for_any_number_of_workers(photo_folder, monkeypatch):
    (photo_folder / "red/empty.jpg").touch()
    scan = scan_photos(photo_folder)
    for workers in (0, 2):
        monkeypatch.setattr(module, "inspect_files", partial(inspect_files, workers=workers))
        assert scan_photos(photo_folder) == scan


def test_every_file_stands_in_exactly_one_list(tmp_path, draw_photo):
    draw_photo(tmp_path / "oak/1.jpg")
    draw_photo(tmp_path / "oak/no_extension")
    draw_photo(tmp_path / "oak/wrong.txt")
    draw_photo(tmp_path / "beech/deep/2.png")
    draw_photo(tmp_path / "stray.jpg")
    (tmp_path / "oak/page.jpg").write_text("<html>")
    (tmp_path / "oak/notes.txt").write_text("notes")
    (tmp_path / "oak/Thumbs.db").write_text("x")
    (tmp_path / "oak/phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "oak/loop").symlink_to(tmp_path)
    (tmp_path / "oak/lost.jpg").symlink_to(tmp_path / "nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "oak/pipe.jpg")
    scan = scan_photos(tmp_path)
    assert [photo.file for photo in scan.photos] == [
        "beech/deep/2.png", "oak/1.jpg", "oak/no_extension", "oak/wrong.txt",
    ]  # fmt: skip
    assert {item.file for item in scan.unreadable} == {"oak/page.jpg", "oak/phone.heic", "oak/lost.jpg"}
    everything = files_of(scan)
    assert len(everything) == len(set(everything)) == 11 + hasattr(os, "mkfifo")
    assert all(item.reason for item in (*scan.unreadable, *scan.ignored))


def test_the_folder_is_only_read(photo_folder):
    before = snapshot(photo_folder)
    photo_folder.chmod(0o555)
    scan_photos(photo_folder)
    photo_folder.chmod(0o755)
    assert snapshot(photo_folder) == before


def test_progress_is_told_after_every_file_and_may_stop_the_scan(photo_folder, monkeypatch):
    told = []
    scan_photos(photo_folder, on_progress=lambda *progress: told.append(progress))
    assert told[:36] == [("looking at photos", done, 36) for done in range(1, 37)]
    assert told[36:] == [("looking for near duplicates", 36, 36)]

    def stop(_what, done, _total):
        if done == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "inspect_files", partial(inspect_files, workers=2))
    with pytest.raises(KeyboardInterrupt):
        scan_photos(photo_folder, on_progress=stop)


def test_ready_made_split_folders_are_honoured(tmp_path, draw_photo):
    for number, folder in enumerate(("train/a", "train/b", "validation/a", "test/b")):
        draw_photo(tmp_path / folder / "1.jpg", seed=number)
    scan = scan_photos(tmp_path)
    assert scan.layout == "split folders"
    assert [(photo.label, photo.split) for photo in scan.photos] == [
        ("b", "test"), ("a", "train"), ("b", "train"), ("a", "val"),
    ]  # fmt: skip


def test_a_table_wins_over_folders_and_counts_what_it_leaves_out(tmp_path, draw_photo):
    for number in range(4):
        draw_photo(tmp_path / f"photos/folder/{number}.jpg", seed=number)
    table = tmp_path / "photos/labels.csv"
    table.write_text(
        "file,label,split,group\nfolder/0.jpg,no,train,g\nfolder/1.jpg,1e3,,\nfolder/9.jpg,no,,\n", encoding="utf-8"
    )
    scan = scan_photos(tmp_path / "photos")
    assert scan.layout == "table"
    assert [(photo.file, photo.label, photo.split, photo.group) for photo in scan.photos] == [
        ("folder/0.jpg", "no", "train", "g"),
        ("folder/1.jpg", "1e3", None, None),
    ]
    assert scan.unreadable == (SkippedFile(file="folder/9.jpg", reason="the file does not exist"),)
    assert [item.file for item in scan.ignored] == ["folder/2.jpg", "folder/3.jpg", "labels.csv"]
    elsewhere = tmp_path / "other.csv"
    elsewhere.write_text("file,label\nphotos/folder/3.jpg,x\n", encoding="utf-8")
    scan = scan_photos(tmp_path / "photos", labelling=Labelling(labels=str(elsewhere)))
    assert [photo.label for photo in scan.photos] == ["x"]


def test_class_names_that_differ_by_case_are_refused_before_decoding(tmp_path):
    for name in ("Oak", "oak"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell the two names apart")
    with pytest.raises(DataError, match="'Oak' and 'oak' differ only by case"):
        scan_photos(tmp_path)


def make_scan(classes, *, unreadable=0, ignored=()):
    photos = tuple(
        Photo(file=f"{label}/{n}.jpg", label=label, width=1, height=1, sha256=f"{label}{n}")
        for label, count in classes.items()
        for n in range(count)
    )
    broken = tuple(SkippedFile(file=f"x{n}", reason="broken") for n in range(unreadable))
    return Scan(root="photos", layout="class folders", photos=photos, unreadable=broken, ignored=tuple(ignored))


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (make_scan({}), "no photos in photos, it is empty"),
        (make_scan({}, ignored=[SkippedFile(file="a", reason="raw")]), "no photos in photos: 1 × raw"),
        (make_scan({"oak": 3}), "one class only: all 3 photos in photos are 'oak'"),
        (
            make_scan({"a": 90, "b": 4}, unreadable=6),
            r"6 of 100 files are unreadable \(6.0%, allowed 5.0%\): 6 × broken",
        ),
    ],
)
def test_photos_that_cannot_be_learned_from_are_refused(scan, message):
    with pytest.raises(DataError, match=message) as caught:
        check_scan(scan, max_unreadable=0.05)
    assert caught.value.hint


def test_a_few_unreadable_files_are_accepted():
    check_scan(make_scan({"a": 90, "b": 5}, unreadable=5), max_unreadable=0.05)


@pytest.fixture(scope="module")
def messy_scan(shared, tmp_path_factory):
    """The odd and broken files as class folders: the scan, the manifest's row and the size of each."""
    root = tmp_path_factory.mktemp("messy")
    rows = {}
    with (shared / "data/messy/manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            target = root / row["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shared / "data/messy" / row["file"], target)
            rows[row["file"]] = row
    assert len(rows) == 609
    return root, rows, scan_photos(root)


def test_every_messy_file_is_listed_once_with_a_reason(messy_scan):
    _, rows, scan = messy_scan
    assert files_of(scan) == sorted(rows)
    assert all(item.reason and "Traceback" not in item.reason for item in (*scan.unreadable, *scan.ignored))


def test_messy_files_open_exactly_where_pillow_opens_them(messy_scan):
    root, rows, scan = messy_scan
    formats = {"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"}
    loads = {file for file, row in rows.items() if row["pil_result"] == "loads" and row["pil_format"] in formats}
    raised = {file for file, row in rows.items() if "Error" in row["pil_result"]}
    opened = {photo.file: (photo.width, photo.height) for photo in scan.photos}
    assert len(loads) > 300
    lacks_only_its_end = {"truncated/hopper_trunc_7173.jpg", "truncated/truncated_jpeg.jpg"}
    assert raised & set(opened) == lacks_only_its_end
    right = [file for file in loads & set(opened) if opened[file] == upright_size(root / file)]
    assert len(right) == len(loads & set(opened))
    assert len(right) >= 0.95 * len(loads)


def test_decompression_bombs_are_refused(messy_scan):
    _, rows, scan = messy_scan
    bombs = {file for file in rows if file.startswith("decompression_bombs/")} | {"extreme_sizes/20000x20000_1bit.png"}
    assert not bombs & {photo.file for photo in scan.photos}
    reasons = [item.reason for item in scan.unreadable if item.file in bombs]
    assert sum("megapixels" in reason for reason in reasons) >= 8


@pytest.mark.parametrize("category", ["exif_orientation", "cmyk", "png_16bit", "webp_alpha", "mpo_multi_picture_jpeg"])
def test_messy_photos_are_upright_rgb(messy_scan, category):
    root, _, scan = messy_scan
    photos = [photo for photo in scan.photos if photo.file.startswith(f"{category}/")]
    assert len(photos) >= 3
    for photo in photos:
        image = open_photo(root / photo.file)
        assert (image.mode, image.size) == ("RGB", (photo.width, photo.height))


def upright_size(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).size


def test_photos_of_other_parts_are_passed_over_unopened(photo_folder):
    for part, numbers in (("train", range(8)), ("test", range(8, 12))):
        for label in ("blue", "green", "red"):
            (photo_folder / part / label).mkdir(parents=True)
            for number in numbers:
                (photo_folder / label / f"{number:02}.jpg").rename(photo_folder / part / label / f"{number:02}.jpg")
    for label in ("blue", "green", "red"):
        (photo_folder / label).rmdir()
    (photo_folder / "train/red/00.jpg").write_bytes(b"no picture")
    scan = scan_photos(photo_folder, only="test")
    assert {photo.split for photo in scan.photos} == {"test"}
    assert (len(scan.photos), scan.unreadable) == (12, ())
    assert {one.reason for one in scan.ignored} == {other_part("test")}
    assert len(scan.ignored) == 24
    assert len(scan_photos(photo_folder, only="val").photos) == 35  # nobody names such a part


def test_a_table_may_give_a_photo_several_labels_or_none(photo_folder):
    table = photo_folder / "labels.csv"
    table.write_text('file,labels\nred/00.jpg,"warm;a, ""b"""\nred/01.jpg,warm\nred/02.jpg,\n')
    scan = scan_photos(photo_folder)
    assert scan.multi_label
    assert [photo.label for photo in scan.photos] == ['a, "b";warm', "warm", ""]
    assert scan.classes == {'a, "b"': 1, "warm": 2}
    check_scan(scan, max_unreadable=0.0)
    table.write_text("file,labels\nred/00.jpg,warm\nred/01.jpg,warm\n")
    with pytest.raises(DataError, match=r"all 2 photos in .* have the same labels"):
        check_scan(scan_photos(photo_folder), max_unreadable=0.0)
    table.write_text("file,labels\nred/00.jpg,warm;Warm\nred/01.jpg,\n")
    with pytest.raises(DataError, match="differ only by case"):
        scan_photos(photo_folder)


def test_a_photo_listed_twice_is_told_where_several_labels_go(photo_folder):
    (photo_folder / "labels.csv").write_text("file,label\nred/00.jpg,warm\nred/00.jpg,light\n")
    with pytest.raises(DataError, match=r"line 3: red/00\.jpg stands on line 2 already") as caught:
        scan_photos(photo_folder)
    assert "in one column labels, with ; between them" in caught.value.hint


def test_what_was_left_out_is_counted_by_folder(tmp_path, draw_photo):
    """An unlabelled test/ beside train/ was passed over without a word."""
    for number, folder in enumerate(("train/a", "train/b", "val/a", "test", "test", "test", "extra/a", "extra/b")):
        draw_photo(tmp_path / folder / f"{number}.jpg", seed=number)
    draw_photo(tmp_path / "loose.jpg", seed=99)
    (tmp_path / "train/c").mkdir()
    (tmp_path / "extra/notes.txt").write_text("notes")
    scan = scan_photos(tmp_path)
    assert [(one.folder, one.photos, one.reason) for one in scan.left_out] == [
        ("test", 3, "not in a class folder"),
        ("extra", 2, "not in one of the train, val or test folders"),
        ("", 1, "not in one of the train, val or test folders"),
        ("train/c", 0, "an empty folder"),
    ]
    assert from_plain(Scan, json.loads(json.dumps(to_plain(scan)))) == scan


def test_what_a_table_or_a_pattern_leaves_out_is_counted(photo_folder):
    table = photo_folder / "labels.csv"
    table.write_text("file,label\nred/00.jpg,warm\nblue/01.jpg,cold\n")
    assert [(one.folder, one.photos) for one in scan_photos(photo_folder).left_out] == [
        ("green", 12), ("blue", 11), ("red", 11),
    ]  # fmt: skip
    scan = scan_photos(photo_folder, labelling=Labelling(label_from="^(red|blue)/"))
    assert (scan.layout, scan.classes) == ("file names", {"blue": 12, "red": 12})
    assert [(one.folder, one.photos) for one in scan.left_out] == [("green", 12)]


def test_a_reading_that_is_not_plain_is_told(tmp_path, draw_photo):
    for number, folder in enumerate(("x/Training/Training/a", "x/Training/Training/b", "x/eval/eval/a")):
        draw_photo(tmp_path / folder / "1.jpg", seed=number)
    scan = scan_photos(tmp_path)
    assert [(photo.label, photo.split) for photo in scan.photos] == [("a", "train"), ("b", "train"), ("a", "test")]
    assert scan.assumptions == (
        "classes are read below x/",
        "parts by folder: Training/ is train, eval/ is test",
        "classes are read one folder deeper in Training, eval",
    )


def test_a_class_called_train_is_told(tmp_path, draw_photo):
    for name in ("train", "bus", "car"):
        draw_photo(tmp_path / name / "1.jpg")
    assert scan_photos(tmp_path).assumptions == ("train/ is taken for a class",)


@pytest.mark.parametrize(
    ("labelling", "message"),
    [
        (Labelling(labels="x.csv", label_from="a"), "--label-from has no effect with --labels"),
        (Labelling(file_column="a"), "--file-column has no effect without a table"),
        (Labelling(label_column="a"), "--label-column has no effect without a table"),
        (Labelling(label_from="a", label_column="b"), "--label-column has no effect without a table"),
        (Labelling(label_from="("), "--label-from (: no regular expression"),
        (Labelling(label_from="elm"), "--label-from elm: matches no file name, such as 00.jpg"),
    ],
)
def test_options_without_effect_and_patterns_without_a_match_are_refused(photo_folder, labelling, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        scan_photos(photo_folder, labelling=labelling)


def test_a_pattern_wins_over_a_table_that_lies_there(photo_folder):
    (photo_folder / "labels.csv").write_text("file,label\nred/00.jpg,x\n")
    scan = scan_photos(photo_folder, labelling=Labelling(label_from="^([a-z]+)/"))
    assert scan.classes == {"blue": 12, "green": 12, "red": 12}


def test_the_hint_for_unreadable_files_can_be_typed(tmp_path, draw_photo):
    """It named the folder without quotes, and without the table that was given."""
    root, table = tmp_path / "my photos", tmp_path / "l 1.csv"
    draw_photo(root / "a.jpg")
    table.write_text("file,label\nmy photos/a.jpg,x\nmy photos/b.jpg,y\n")
    labelling = Labelling(labels=str(table), label_column="label")
    with pytest.raises(DataError, match="1 of 2 files are unreadable") as caught:
        check_scan(scan_photos(root, labelling=labelling), max_unreadable=0.05, labelling=labelling)
    words = shlex.split(caught.value.hint.partition(" lists them")[0])
    assert words == ["pcn", "inspect", str(root), "--labels", str(table), "--label-column", "label"]


def test_a_table_that_names_no_photo_is_told_the_reason_first(photo_folder):
    """A table was given, and the hint was to give one; the reason stood after "36 × not listed"."""
    (photo_folder / "labels.csv").write_text("file,label\ngone/a.png,x\ngone/b.png,y\n")
    with pytest.raises(DataError, match=r"no photos in .*: 2 × the file does not exist; 36 × not listed") as caught:
        check_scan(scan_photos(photo_folder), max_unreadable=0.05)
    assert "by their path from its own folder" in caught.value.hint
    assert "to go by the folders, move the table out of the folder" in caught.value.hint


def test_one_class_is_told_where_the_others_may_be(tmp_path, draw_photo):
    for number, name in enumerate(("cat.1", "cat.2", "dog.1", "dog.2")):
        draw_photo(tmp_path / f"animals/{name}.jpg", seed=number)
    with pytest.raises(DataError, match="one class only: all 4 photos") as caught:
        check_scan(scan_photos(tmp_path), max_unreadable=0.05)
    assert "takes the class from the name: cat, dog" in caught.value.hint


def test_classes_are_counted_in_the_order_that_people_count_in():
    """Numbers as classes stood there as 0, 1, 10, 11, 2."""
    names = ["10", "2", "1", "0", "class10", "class9", "b", "007", "7"]
    scan = make_scan(dict.fromkeys(names, 1))
    assert list(scan.classes) == ["0", "1", "2", "007", "7", "10", "b", "class9", "class10"]

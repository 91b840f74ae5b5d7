"""Boxes as annotation tools and detectors write them."""

import json
import sys
from itertools import chain
from pathlib import Path

import pytest

from pcn_cli.data.boxes import documents, read
from pcn_cli.data.boxes.read import MOST_OF_PHOTO, find_boxes, read_boxes, refuse
from pcn_cli.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[2] / "harness"))

from hostile_boxes import make_boxes

COCO = {
    "images": [{"id": 7, "file_name": "birds\\a.jpg", "width": 40, "height": 30}, {"id": 8, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 7, "category_id": 2, "bbox": [1.5, 2, 10, 8.6]},
        {"image_id": 8, "category_id": 1, "bbox": [0, 0, 4, 5], "iscrowd": 1},
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30], "score": 0.5},
    ],
    "categories": [{"id": 1, "name": "crow"}, {"id": 2, "name": "wren"}],
}
FOUND = {
    "images": [
        {"file": "a.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": [0.25, 0, 0.5, 1]}]},
        {"file": "b.jpg", "failure": "Failure image access", "detections": None},
    ],
    "detection_categories": {"1": "animal", "2": "person"},
}


HEADER = "file,label,xmin,ymin,xmax,ymax,width,height\n"


@pytest.mark.parametrize(
    ("cells", "edges"),
    [
        ("233.0,10.4,300.6,40.0,500,400", (233, 10, 301, 40)),
        ("0,0,500,400,500,400", (0, 0, 499, 399)),
        ("-1,-2.0,501,401,500.0,400.0", (0, 0, 499, 399)),
        ("1e2,5,2e2,9,500,400", (100, 5, 200, 9)),
    ],
)
def test_boxes_are_read_as_annotation_tools_write_them(tmp_path: Path, cells: str, edges: tuple[int, ...]) -> None:
    """Decimals were refused, and a box that reaches a pixel beyond the photo ended everything."""
    (tmp_path / "boxes.csv").write_text(f"{HEADER}a.jpg,cat,{cells}\n")
    ((box,),) = read_boxes(tmp_path / "boxes.csv").values()
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == edges
    assert (box.width, box.height) == (500, 400)


def test_all_rows_that_are_no_boxes_are_named_at_once(tmp_path: Path) -> None:
    wrong = [f"{n}.jpg,cat,0,0,{510 + n},10,500,400\n" for n in range(12)]
    (tmp_path / "boxes.csv").write_text(HEADER + "".join(wrong) + "x.jpg,cat,nan,0,1,1,5,4\n")
    with pytest.raises(DataError, match="has rows that are no boxes") as error:
        read_boxes(tmp_path / "boxes.csv")
    assert all(f"{n}.jpg: the box 0,0 – {510 + n},10 is not in the photo" in error.value.message for n in range(10))
    assert error.value.message.endswith("and 3 more")
    for cells, found in (
        ("nan,0,1,1,5,4", "xmin is 'nan'"),
        ("0,0,1,1,inf,4", "width is 'inf'"),
        ("3,0,1,1,5,4", "the box"),
    ):
        (tmp_path / "boxes.csv").write_text(f"{HEADER}a.jpg,cat,{cells}\n")
        with pytest.raises(DataError, match=found):
            read_boxes(tmp_path / "boxes.csv")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file,label,xmin,ymin,xmax,ymax,width\na,b,0,0,1,1,2\n", "no column 'height'"),
        ("file,label,xmin,ymin,xmax,ymax,width,height\na,b,0,0,5,1,2,2\n", "a: the box 0,0 – 5,1 is not in the photo"),
        ("file,label,xmin,ymin,xmax,ymax,width,height\na,b,0,half,1,1,2,2\n", "a: ymin is 'half'"),
        ("file,label,xmin,ymin,xmax,ymax,width,height\na,b\n", "line 2"),
    ],
)
def test_a_table_that_holds_no_boxes_is_refused_with_what_was_found(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(DataError, match=r"boxes\.csv") as error:
        read_boxes(tmp_path / "boxes.csv")
    assert found in error.value.message
    assert "ymin" in str(error.value.hint)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such table of boxes"):
        read_boxes(tmp_path / "boxes.csv")


def write(folder: Path, document: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_boxes_of_coco_have_the_names_of_their_categories_and_crowds_are_no_box(tmp_path: Path) -> None:
    first, second = find_boxes(write(tmp_path, COCO)).boxes
    assert (first.file, first.number, first.label, first.size) == ("birds/a.jpg", 1, "wren", (40, 30))
    assert (second.file, second.number, second.label, second.confidence) == ("birds/a.jpg", 2, "crow", 0.5)
    box = first.place((40, 30))
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (2, 2, 11, 10)
    with pytest.raises(ValueError, match="its boxes are on 40×30 pixels, and the photo has 30×40"):
        first.place((30, 40))


def test_boxes_of_a_detector_are_shares_of_the_photo_and_have_no_label(tmp_path: Path) -> None:
    (one,) = find_boxes(write(tmp_path, FOUND)).boxes
    assert (one.file, one.label, one.category, one.confidence) == ("a.jpg", "", "animal", 0.9)
    box = one.place((40, 30))
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (10, 0, 29, 29)


def change(document: dict, *path: object, value: object) -> dict:
    copy = json.loads(json.dumps(document))
    *inner, last = path
    place = copy
    for key in inner:
        place = place[key]
    place[last] = value
    return copy


BOX = ("annotations", 0, "bbox")
SEEN = ("images", 0, "detections", 0)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (change(COCO, *BOX, value=[0, 0, -3, 4]), "birds/a.jpg: the box [0, 0, -3, 4] has no pixels"),
        (change(COCO, *BOX, value=[0, 0, 3]), "which is not [x, y, width, height]"),
        (change(COCO, *BOX, value=[[]] * 4000), "birds/a.jpg: the box has more than 10,000 bytes"),
        (change(COCO, *BOX, value=[0, 0, "wide", 3]), "holds 'wide', which is no number"),
        (change(COCO, *BOX, value=[0, True, 1, 3]), "holds True, which is no number"),
        (change(COCO, *BOX, value=[0, 0, 10**400, 3]), "which is no number"),
        (
            change(COCO, "annotations", 0, "image_id", value=99),
            "annotation 1 is of the image 99, which",
        ),
        (change(COCO, "annotations", 0, "category_id", value=9), "birds/a.jpg: there is no category 9"),
        (change(COCO, "annotations", 0, value="x"), "annotation 1 is 'x'"),
        (change(COCO, "images", 0, "file_name", value=""), "an image has the file_name ''"),
        (change(COCO, "images", value={}), 'there is no list of "images" in it'),
        (change(COCO, "images", 1, value=3), 'its "images" are not all objects'),
        (change(COCO, "categories", value=3), 'its "categories" are no list'),
        ({"images": [{"file_name": "a.jpg"}]}, "neither COCO's annotations nor MegaDetector's detections"),
        ([{"image_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], 'there is no list of "images" in it'),
        (change(FOUND, *SEEN, "conf", value=1.5), "a.jpg: conf is 1.5, which is not between 0 and 1"),
        (change(FOUND, *SEEN, "conf", value=None), "a.jpg: conf holds None, which is no number"),
        (change(FOUND, *SEEN, "bbox", value=[10, 0, 30, 30]), "is not in shares of the photo, 0 to 1"),
        (change(FOUND, *SEEN, value=[]), "a.jpg: a detection is []"),
        (change(FOUND, "images", 0, "file", value="a\0b"), "an image has the file"),
        (json.dumps(COCO).replace("8.6", "NaN"), "NaN is no JSON"),
        (json.dumps(COCO).replace("8.6", "1e999"), "which is no number"),
        ("[" * 5000, "nested too deeply"),
        ("file,xmin", "boxes.json"),
    ],
)
def test_a_json_that_holds_no_boxes_is_refused_with_what_was_found(tmp_path: Path, document, found: str) -> None:
    with pytest.raises(DataError) as error:
        find_boxes(write(tmp_path, document))
    assert found in error.value.message
    assert "MegaDetector" in str(error.value.hint)


@pytest.mark.parametrize("place", [("images", 0), ("annotations", 0), ("categories", 0)])
def test_an_entry_that_is_longer_than_any_is_not_read(tmp_path: Path, monkeypatch, place: tuple[str, int]) -> None:
    """A polygon of half a gigabyte was gone through twice."""
    longer = change(COCO, *place, "segmentation", value=[[1.5] * 1000])
    find_boxes(write(tmp_path, longer))
    monkeypatch.setattr(documents, "_LONGEST_ENTRY", 2000)
    with pytest.raises(DataError, match="an entry has more than"):
        find_boxes(write(tmp_path, longer))


def test_more_boxes_of_a_photo_than_anybody_draws_are_refused(tmp_path: Path) -> None:
    one = FOUND["images"][0]["detections"]
    with pytest.raises(DataError, match=f"has {MOST_OF_PHOTO + 1:,} boxes of a.jpg, at most {MOST_OF_PHOTO:,} of a"):
        find_boxes(write(tmp_path, change(FOUND, "images", 0, "detections", value=one * (MOST_OF_PHOTO + 1))))


def test_a_table_of_boxes_to_cut_out_needs_only_the_photo_and_the_edges(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax,confidence\na.jpg,0,0,3,4,0.25\n")
    (one,) = find_boxes(tmp_path / "boxes.csv").boxes
    assert (one.edges, one.size, one.confidence, one.label) == ((0, 0, 4, 5), None, 0.25, "")
    with pytest.raises(DataError, match="no column 'label'"):
        read_boxes(tmp_path / "boxes.csv")


def test_the_maps_are_tested_against_boxes_of_coco_as_well(tmp_path: Path) -> None:
    assert [box.label for box in read_boxes(write(tmp_path, COCO))["birds/a.jpg"]] == ["wren", "crow"]
    with pytest.raises(DataError, match="does not tell the photo's width and height"):
        read_boxes(write(tmp_path, FOUND))


def test_a_table_of_too_many_boxes_is_read_no_further(tmp_path, monkeypatch):
    """Its rows were all kept first, which for a million took more than a gigabyte."""
    read_so_far = []
    header, rows = ["file", "xmin", "ymin", "xmax", "ymax"], ([f"{n}.jpg", "0", "0", "9", "9"] for n in range(9))
    monkeypatch.setattr(
        read, "iterate_rows", lambda _: chain([header], (read_so_far.append(row) or row for row in rows))
    )
    monkeypatch.setattr(read, "MOST_BOXES", 2)
    (tmp_path / "boxes.csv").touch()
    with pytest.raises(DataError, match="has more than 2 boxes"):
        find_boxes(tmp_path / "boxes.csv")
    assert len(read_so_far) == 3


def test_a_large_file_is_read_apart_as_a_small_one_is_here(tmp_path, monkeypatch):
    table = tmp_path / "boxes.csv"
    table.write_text(f"{HEADER}a\udce9.jpg,cat,1,2,3,4,9,9\nb.jpg,,1,2,3,4,,\n", errors="surrogateescape")
    questions = ((table, {}), (write(tmp_path, COCO), {"names": frozenset({"a.jpg"}), "least": 0.6}))
    here = [find_boxes(path, **question) for path, question in questions]
    monkeypatch.setattr(read, "_APART", 0)
    assert [find_boxes(path, **question) for path, question in questions] == here
    with pytest.raises(DataError, match="nested too deeply") as error:
        find_boxes(write(tmp_path, "[" * 5000))
    assert "MegaDetector" in str(error.value.hint)


def test_boxes_of_photos_that_are_not_asked_for_are_only_counted(tmp_path):
    """They were all kept, which for a million of photos that are not there took 905 MB."""
    unsure = {"category": "2", "conf": 0.1, "bbox": [0.25, 0, 0.5, 1]}
    images = [{"file": f"x/{n}.JPG", "detections": [unsure, {**unsure, "conf": 0.5}]} for n in range(12)]
    found = find_boxes(
        write(tmp_path, {**FOUND, "images": FOUND["images"] + images}), names={"a.jpg", "3.jpg"}, least=0.2
    )
    assert [(one.file, one.number, one.category) for one in found.boxes] == [
        ("a.jpg", 1, "animal"),
        ("x/3.JPG", 2, "person"),
    ]
    assert (found.counts, found.sure) == ({"animal": 1, "person": 24}, {"animal": 1, "person": 12})
    assert (found.others["person"].count, len(found.others["person"].first)) == (11, 10)
    assert found.others["animal"].count == 0
    assert found.others[None] == found.others["person"]


def test_of_very_many_photos_that_are_not_asked_for_not_all_are_remembered(tmp_path, monkeypatch):
    """A million names of them took two of nine seconds, to say how many they are."""
    monkeypatch.setattr(read, "AT_ONCE", 2)
    rows = "".join(f"{n}.jpg,,1,2,3,4,,\n" for n in range(9))
    (tmp_path / "boxes.csv").write_text(HEADER + rows)
    assert not find_boxes(tmp_path / "boxes.csv", names={"0.jpg"}).others[None].at_least
    monkeypatch.setattr(read, "_MOST_OTHERS", 3)
    found = find_boxes(tmp_path / "boxes.csv", names={"0.jpg"})
    assert (found.counts, found.others[None].count, found.others[None].at_least) == ({"": 9}, 4, True)
    with pytest.raises(DataError, match="and at least 3 more"):
        refuse("these:", ["0.jpg"], "", more=3, at_least=True)


def test_boxes_of_photos_that_are_not_asked_for_are_sure_or_not_by_their_confidence(tmp_path):
    shares = ("0.1", "0.9", "", "1.5")
    rows = "".join(f"{n}.jpg,1,2,3,4,{share}\n" for n, share in enumerate(shares))
    (tmp_path / "boxes.csv").write_text(f"file,xmin,ymin,xmax,ymax,confidence\n{rows}")
    with pytest.raises(DataError, match=r"3.jpg: confidence is '1.5', which is not between 0 and 1"):
        find_boxes(tmp_path / "boxes.csv", names=())
    (tmp_path / "boxes.csv").write_text(f"file,xmin,ymin,xmax,ymax,confidence\n{rows[: rows.index('3.jpg')]}")
    scored = [{"image_id": n, "category_id": 1, "score": share} for n, share in enumerate((0.1, 0.9, None))]
    images = [{"id": str(n), "file_name": f"{n}.jpg"} for n in range(3)]  # an id is the same as a number or as text
    for path in (tmp_path / "boxes.csv", write(tmp_path, {**COCO, "images": images, "annotations": scored})):
        found = find_boxes(path, names=(), least=0.5)
        assert (found.counts, found.sure) == ({"": 3}, {"": 2})
        assert found.others[None].first == ("1.jpg", "2.jpg")


@pytest.mark.parametrize(
    ("most", "found"), [(3, "has more than 3 images and boxes"), (1, "has more than 1 categories")]
)
def test_more_entries_than_any_set_has_are_refused_before_they_are_read(tmp_path, monkeypatch, most, found):
    monkeypatch.setattr(documents, "MOST_ENTRIES", most)
    with pytest.raises(DataError, match=found):
        find_boxes(write(tmp_path, COCO))


def test_a_table_of_more_lines_than_it_may_have_boxes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "_MOST_LINES", 3)
    (tmp_path / "boxes.csv").write_text(HEADER + "\n" * 3)
    with pytest.raises(DataError, match="it has 4 lines, at most 3 are read"):
        find_boxes(tmp_path / "boxes.csv")


def test_a_file_that_is_wrong_all_over_is_not_read_to_its_end(tmp_path):
    """A million things that were wrong with it were all remembered."""
    wrong = [{"image_id": 7, "category_id": 2, "bbox": None}] * 1200
    with pytest.raises(DataError) as error:
        find_boxes(write(tmp_path, {**COCO, "annotations": wrong}))
    assert error.value.message.endswith("and 990 more")
    with pytest.raises(DataError, match=r"a.jpg: its detections are \{'a': 1\}"):
        find_boxes(write(tmp_path, change(FOUND, "images", 0, "detections", value={"a": 1})))


def test_hostile_files_are_read_or_refused_in_words(tmp_path):
    """Those of tests/harness/hostile.py, with few entries: it tries them with a million."""
    tried, lengths = 0, {}
    for name, path in make_boxes(tmp_path, 1500):
        tried += 1
        try:
            find_boxes(path, names={"0.png"})
        except DataError as error:
            lengths[name] = len(error.message)
    assert tried == 42
    assert len(lengths) > 20
    assert max(lengths.values()) < 5000

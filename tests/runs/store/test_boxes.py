from pathlib import Path

import pytest

from pcn_cli.errors import DataError
from pcn_cli.records.photos import Box
from pcn_cli.runs.store.boxes import read_boxes, write_boxes

BOX = Box(file="=cat/a, b.jpg", label="cat", xmin=0, ymin=1, xmax=4, ymax=1, width=5, height=2)


def test_boxes_come_back_by_file_as_they_were_written(tmp_path: Path) -> None:
    other = Box(file="b.jpg", label="dog", xmin=0, ymin=0, xmax=0, ymax=0, width=1, height=1)
    write_boxes(tmp_path / "boxes.csv", [BOX, other, BOX])
    assert read_boxes(tmp_path / "boxes.csv") == {BOX.file: [BOX, BOX], "b.jpg": [other]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file,label,xmin,ymin,xmax,ymax,width\na,b,0,0,1,1,2\n", "no column 'height'"),
        ("file,label,xmin,ymin,xmax,ymax,width,height\na,b,0,0,2,1,2,2\n", "a: the box 0,0 – 2,1 is not in the photo"),
        ("file,label,xmin,ymin,xmax,ymax,width,height\na,b,0,0.5,1,1,2,2\n", "0.5"),
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

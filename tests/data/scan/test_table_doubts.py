import pytest

from pcn_cli.data.scan.layouts import sort_by_table
from pcn_cli.data.scan.table import read_table


@pytest.fixture
def doubts(tmp_path):
    """A function that reads a table of photos: what is doubted about it."""

    def doubts(text):
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return sort_by_table(tmp_path, {}, read_table(tmp_path / "labels.csv")).doubts

    return doubts


@pytest.mark.parametrize("column", ["label", "tags", "Categories"])
@pytest.mark.parametrize(
    "cells",
    [
        ("red;big", "red;old", "big;old"),
        ("red|big", "red", "big"),
        ('"red,big"', '"red, old"', '"big, old"'),
        ("haze primary", "haze", "primary"),
    ],
)
def test_labels_that_look_like_several_are_doubted(doubts, column, cells):
    """Each combination of labels became a class, and nothing was said."""
    rows = "".join(f"{n}.jpg,{cell}\n" for n, cell in enumerate(cells))
    (finding,) = doubts(f"file,{column}\n{rows}")
    assert (finding.severity, finding.title) == ("warning", "Some classes look like several labels of one photo")
    assert "is read as one class" in finding.evidence
    assert "call the column labels, with ; between them" in finding.remedy


@pytest.mark.parametrize(
    "cells",
    [
        ("golden retriever", "golden eagle", "labrador retriever"),
        ('"Felis catus, tame"', '"Canis lupus, tame"', "tame"),
        ("x;y", "a", "b"),
        ("red", "big", "old"),
    ],
)
def test_names_with_a_separator_are_names(doubts, cells):
    assert not doubts("file,label\n" + "".join(f"{n}.jpg,{cell}\n" for n, cell in enumerate(cells)))


@pytest.mark.parametrize("cells", ["red big,red", "red/big,big", '"red,big",red'])
def test_a_column_for_several_labels_that_holds_one_each_is_doubted(doubts, cells):
    first, second = cells.rsplit(",", 1)
    (finding,) = doubts(f"file,labels\n1.jpg,{first}\n2.jpg,{second}\n")
    assert finding.title == "No photo has several labels, though the column is called labels"
    assert ("write ; in its place" in finding.remedy) == ("," in first)


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("is_valid", ("True", "False", "False")),
        ("IsTraining", ("1", "0", "1")),
        ("purpose", ("train", "test", "val")),
        ("subset", ("Training", "dev", "unused")),
    ],
)
def test_a_column_that_may_name_parts_and_is_not_read_is_told(doubts, column, cells):
    """The parts of fastai's is_valid were divided anew, and nothing was said."""
    (finding,) = doubts(f"file,label,{column}\n" + "".join(f"{n}.jpg,x,{cell}\n" for n, cell in enumerate(cells)))
    assert finding.title == f"The column {column} may name parts, and is not read"
    assert "a column called split" in finding.remedy


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("split", ("train", "test", "val")),
        ("Data Set", ("Training", "dev", "Testing")),
        ("kind", ("train", "bus", "car")),
        ("note", ("test", "", "")),
        ("island", ("1", "0", "1")),
        ("is_valid", ("", "", "")),
    ],
)
def test_columns_that_are_read_or_say_other_things_are_no_doubt(doubts, column, cells):
    assert not doubts(f"file,label,{column}\n" + "".join(f"{n}.jpg,x,{cell}\n" for n, cell in enumerate(cells)))


def test_of_many_columns_that_may_name_parts_the_first_are_told_of(doubts):
    header = ",".join(["file", "label", *(f"part {n}" for n in range(50))])
    rows = "".join(f"{n}.jpg,{'ab'[n % 2]},{','.join([('train', 'test')[n % 2]] * 50)}\n" for n in range(4))
    assert [one.title.split()[3] for one in doubts(f"{header}\n{rows}")] == [str(n) for n in range(10)]

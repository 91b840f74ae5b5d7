import os

import pytest

from pcn_cli.data.scan import table as tables
from pcn_cli.data.scan.table import find_table, read_table
from pcn_cli.errors import DataError


@pytest.mark.parametrize(
    "preface", ["", "\n", "# made by x\n", "\n\n# a\n# b\n\n", "sep=;\n", "  \r\n", ";;\n\t\n", "# a;b\n"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_stands_above_the_header_is_passed_over_and_lines_still_count(tmp_path, preface, end):
    """A blank line or a remark was taken for the header: "found nothing", "found # made by x"."""
    table = tmp_path / "labels.csv"
    text = preface.replace("\n", end) if "\r" not in preface else preface
    table.write_bytes(f"{text}file;label{end}a.jpg;x{end}".encode("utf-8-sig"))
    found = read_table(table)
    line = preface.count("\n") + 1
    assert (found.header, found.line, found.rows) == (("file", "label"), line, ((line + 1, ["a.jpg", "x"]),))


def test_a_table_of_nothing_has_no_header(tmp_path):
    table = tmp_path / "labels.csv"
    for text in ("", "\n\n", "# only\n"):
        table.write_text(text)
        assert read_table(table).header == ()


def test_a_column_may_be_called_by_the_sign_of_a_remark(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("#,file,label\n1,a.jpg,x\n")
    assert read_table(table).header == ("#", "file", "label")


@pytest.mark.parametrize("text", ['file, "label"\n"a.jpg", "x, y"\n', '"file",  "label"\na.jpg,   "x, y"\n'])
def test_quotes_behind_a_space_are_no_part_of_a_name(tmp_path, text):
    """The class of such a row was called "x, with its quotes."""
    table = tmp_path / "labels.csv"
    table.write_text(text)
    found = read_table(table)
    assert (found.header, found.rows[0][1]) == (("file", "label"), ["a.jpg", "x, y"])


def test_a_column_is_found_in_either_case(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("File,Site\n")
    assert read_table(table).find(" site ") == 1
    assert read_table(table).find("group") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "labels.csv")
    assert find_table(tmp_path, None) is None
    with pytest.raises(DataError, match="is no regular file"):
        find_table(tmp_path, tmp_path / "labels.csv")
    with pytest.raises(DataError, match="is a folder"):
        find_table(tmp_path, tmp_path)


def test_rows_far_beyond_the_files_that_are_there_are_refused_before_they_are_kept(tmp_path, monkeypatch):
    """A million rows of photos that were elsewhere took a minute and a gigabyte."""
    monkeypatch.setattr(tables, "_MOST_ROWS", 10)
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "\n,,\n".join(f"{n}.jpg,a" for n in range(12)))
    assert len(read_table(table, files=3).rows) == 12
    with pytest.raises(DataError, match=r"more than 10 rows where the folder of photos holds 2 files") as caught:
        read_table(table, files=2)
    assert "keep the rows of photos that are there" in (caught.value.hint or "")


def test_a_file_far_larger_than_a_table_of_so_few_files_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_MOST_BYTES", 2**20)
    table = tmp_path / "labels.csv"
    table.write_bytes(b"file,label\n" + b"\xff" * 2**21)
    with pytest.raises(DataError, match=r"has 2 MB, more than the 1 MB that are read where .* 1 files"):
        read_table(table, files=1)


@pytest.mark.parametrize("row", [0, 1])
def test_a_row_of_more_cells_than_anyone_has_columns_is_refused_with_its_line(tmp_path, row):
    rows = ["file,label", "a.jpg,x"]
    rows[row] += "," * tables.MOST_COLUMNS
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match=rf"line {row + 1}: 25,002 cells, and a row has at most 25,000"):
        read_table(tmp_path / "labels.csv")


def test_a_first_line_of_separators_alone_is_looked_at_once(tmp_path):
    """Each way was tried to divide it between what stands before a remark and after it."""
    table = tmp_path / "labels.csv"
    table.write_text("," * 20_000 + "x\nfile,label\n")
    assert len(read_table(table).header) == 20_001


@pytest.mark.parametrize("name", ["metadata.jsonl", "labels.JSON", "train.ndjson"])
def test_json_is_told_from_a_broken_table(tmp_path, name):
    (tmp_path / name).write_text('{"file_name": "a.png", "label": "cat"}\n')
    with pytest.raises(DataError, match="is JSON, and a table of labels is CSV") as caught:
        read_table(tmp_path / name)
    assert "file,label" in caught.value.hint

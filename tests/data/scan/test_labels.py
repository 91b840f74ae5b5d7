import pytest

from pcn_cli.data.scan import labels
from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.labels import list_candidates
from pcn_cli.data.scan.table import find_table, read_table
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import write_csv
from pcn_cli.recipe.schema import Labelling


def columns_of(table):
    return choose_columns(read_table(table), Labelling())


def read_labels(table):
    return list_candidates(read_table(table), columns_of(table))


def write(tmp_path, text, encoding="utf-8"):
    table = tmp_path / "labels.csv"
    table.write_bytes(text.encode(encoding))
    return table


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_of_every_spreadsheet_are_read(tmp_path, delimiter, encoding, newline):
    lines = ["File,Label,split,group,orig", "a.jpg,Öl,train,g1,x", "", '"b c.jpg",no,,,']
    rows = read_labels(write(tmp_path, newline.join(lines).replace(",", delimiter), encoding))
    assert [(row.file, row.label, row.split, row.group, row.line) for row in rows] == [
        ("a.jpg", "Öl", "train", "g1", 2),
        ("b c.jpg", "no", None, None, 4),
    ]


def test_class_names_are_text_never_yaml(tmp_path):
    names = ["no", "1e3", "12:30", "null", "0x10", "true", "2024-01-01", "007", "=1+1", "~"]
    rows = read_labels(write(tmp_path, "file,label\n" + "\n".join(f"{n}.jpg,{c}" for n, c in enumerate(names))))
    assert [row.label for row in rows] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column file and no column label; found nothing"),
        ("width,height\n", "line 1: no column file and no column label; found width, height"),
        ("file,label,label\n", "line 1: the column label stands there twice"),
        ("file,label\na.jpg,oak\nb.jpg\n", "line 3: no label for b.jpg"),
        ("file,label\n,oak\n", "line 2: no file"),
        ("file,label\na,b.jpg,oak\n", "line 2: 3 cells under 2 columns"),
        ('file,label\n"a\nb.jpg",oak\nc.jpg\n', "line 4: no label"),
        ("file,label,split\na.jpg,oak,later\n", "line 2: split is 'later'"),
        ('file,label\n"a.jpg,oak\n', "line"),
        ("file,label\na\0.jpg,oak\n", "line 2"),
        ("file,label\n" + "a" * 4097 + ",oak\n", "line 2: 4,097 signs in one name, 'aaa"),
        ("file,label\na.jpg," + "b" * 4097, "line 2: 4,097 signs in one name, 'bbb"),
        ("file,labels\na.jpg,x;" + "b" * 4097, "line 2: 4,097 signs in one name, 'bbb"),
        ("file,label,group\na.jpg,x," + "b" * 4097, "line 2: 4,097 signs in one name, 'bbb"),
        (",".join(f"c{n}" for n in range(100)), "found c0, c1, c2"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError) as caught:
        read_labels(write(tmp_path, text))
    assert message in caught.value.message
    assert "labels.csv" in caught.value.message


def test_a_table_that_is_not_utf8_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="not UTF-8") as caught:
        read_labels(write(tmp_path, "file,label\na.jpg,Öl\n", "latin-1"))
    assert "CSV UTF-8" in caught.value.hint


def test_a_split_of_ours_is_read_with_its_disarmed_cells(tmp_path):
    table = tmp_path / "split.csv"
    write_csv(table, ("file", "label", "split", "sha256"), [("-a.jpg", "=oak", "val", "0")])
    (row,) = read_labels(table)
    assert (row.file, row.label, row.split) == ("-a.jpg", "=oak", "val")


def test_a_table_is_found_in_the_folder_or_where_it_was_named(tmp_path):
    assert find_table(tmp_path, None) is None
    split = tmp_path / "split.csv"
    split.touch()
    assert find_table(tmp_path, None) == split
    labels = tmp_path / "labels.csv"
    labels.touch()
    assert find_table(tmp_path, None) == labels
    assert find_table(tmp_path, split) == split
    with pytest.raises(DataError, match="no such table"):
        find_table(tmp_path, tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("file,labels\na.jpg,oak;ash\nb.jpg,\nc.jpg\nd.jpg, ash ; ;oak;ash\n", ["ash;oak", "", "", "ash;oak"]),
        ("file;labels\na.jpg;oak|ash\nb.jpg;\n", ["ash;oak", ""]),
        ('file;labels\na.jpg;"oak;ash"\n', ["ash;oak"]),
        ('file,labels\na.jpg,"say ""hi"", you;no"\nb.jpg,1e3\n', ['no;say "hi", you', "1e3"]),
    ],
)
def test_a_column_labels_holds_several_names_or_none(tmp_path, text, labels):
    table = write(tmp_path, text)
    assert columns_of(table).multi_label
    assert [row.label for row in read_labels(table)] == labels


def test_a_column_label_is_one_name_whatever_it_holds(tmp_path):
    table = write(tmp_path, "file,label\na.jpg,oak;ash\nb.jpg,a|b\n")
    assert not columns_of(table).multi_label
    assert [row.label for row in read_labels(table)] == ["oak;ash", "a|b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,labels\na.jpg,oak\nb.jpg,ash;oak\nc.jpg,x|y\n",
            "both ; and | stand among the labels: ; on line 3 and | on line 4",
        ),
        ("file,label,labels\na.jpg,oak,oak;ash\n", "line 1: a column label and a column labels"),
        ("file,labels\n,oak\n", "line 2: no file"),
        ("file;labels\na.jpg;oak;ash\n", "line 2: 3 cells under 2 columns"),
        ("file,labels\na.jpg,o\0ak\n", "line 2"),
    ],
)
def test_a_malformed_table_of_several_labels_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError) as caught:
        read_labels(write(tmp_path, text))
    assert message in caught.value.message


@pytest.mark.parametrize("joined", ["\n{}.jpg,", ";"])
def test_more_classes_than_any_photos_have_are_refused(tmp_path, monkeypatch, joined):
    """A million names were compared, letter by letter, with all that look like them."""
    monkeypatch.setattr(labels, "MOST_CLASSES", 5)
    text = "file,labels\n.jpg,c0" + "".join(f"{joined.format(n)}c{n}" for n in range(1, 6))
    with pytest.raises(DataError, match="names more than 5 classes"):
        read_labels(write(tmp_path, text))
    assert len(read_labels(write(tmp_path, text.removesuffix("5") + "4"))) == (6 if "jpg" in joined else 1)


@pytest.mark.parametrize("more", ["", ",confidence,unknown", ",sha256"])
@pytest.mark.parametrize("name", ["-1", "+1", "=x", "@home", "-rf"])
def test_apostrophes_that_disarm_a_formula_are_no_part_of_a_name(tmp_path, name, more):
    """What `predict --csv` printed came back with the classes '-1 and '+1."""
    write_csv(tmp_path / "labels.csv", ("file", "label", *more.split(",")[1:]), [("a.jpg", name, *more.split(",")[1:])])
    assert read_labels(tmp_path / "labels.csv")[0].label == name


def test_several_labels_of_ours_are_read_as_they_were(tmp_path):
    write_csv(tmp_path / "labels.csv", ("file", "labels", "confidence"), [("a.jpg", "+1;-1;cat", 0.9)])
    (row,) = read_labels(tmp_path / "labels.csv")
    assert sorted(row.label.split(";")) == ["+1", "-1", "cat"]


def test_a_word_in_apostrophes_of_another_program_stays_as_it_is(tmp_path):
    table = write(tmp_path, "file,label\na.jpg,''x''\nb.jpg,'tis\n")
    assert [row.label for row in read_labels(table)] == ["''x''", "'tis"]

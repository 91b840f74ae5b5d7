import pytest

from pcn_cli.data.scan.columns import choose_columns
from pcn_cli.data.scan.labels import list_candidates
from pcn_cli.data.scan.table import read_table
from pcn_cli.errors import DataError, RecipeError
from pcn_cli.recipe.schema import Labelling


@pytest.fixture
def read(tmp_path):
    """A function that reads a table: (file, label, part) of each row, what was assumed, whether labels are several."""

    def read(text, photos=(), **labelling):
        path = tmp_path / "train.csv"
        path.write_text(text, encoding="utf-8")
        table = read_table(path)
        columns = choose_columns(table, Labelling(**labelling), names_photo=set(photos).__contains__)
        rows = [(row.file, row.label, row.split) for row in list_candidates(table, columns)]
        return rows, [line.removeprefix("train.csv: ") for line in columns.assumptions], columns.multi_label

    return read


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("filename,class", ["photos are named by the column filename", "labels are the column class"]),
        ("image_id,label", ["photos are named by the column image_id"]),
        ("id,breed", ["photos are named by the column id", "labels are the column breed"]),
        ("Image Name,Species", ["photos are named by the column Image Name", "labels are the column Species"]),
        ("file,has_cactus", ["labels are the column has_cactus"]),
        ("file,Label", []),
    ],
)
def test_the_usual_names_of_columns_are_read_and_told(read, header, said):
    """filename,class, image_id,label and id,breed were refused, and nothing could name a column."""
    assert read(f"{header}\na.jpg,x\n") == ([("a.jpg", "x", None)], said, False)


def test_columns_that_tools_put_in_front_are_left_alone(read):
    for name in ("", "Unnamed: 0", "Unnamed: 0.1", "index", "#", "Row"):
        assert read(f"{name},image,odd name\n0,a.jpg,x\n")[0] == [("a.jpg", "x", None)]
        assert read(f"{name},image,oak,ash\n7,a.jpg,0,1\n8,b.jpg,1,0\n")[0][0] == ("a.jpg", "ash", None)


def test_the_column_that_names_photos_is_the_one_whose_cells_do(read):
    rows, said, _ = read("id,image,class\n7,a.jpg,x\n8,b.jpg,y\n", photos={"a.jpg", "b.jpg"})
    assert rows == [("a.jpg", "x", None), ("b.jpg", "y", None)]
    rows, said, _ = read("Bild,class\na.jpg,x\n", photos={"a.jpg"})
    assert (rows, said[0]) == ([("a.jpg", "x", None)], "photos are named by the column Bild")


@pytest.mark.parametrize("column", ["image", "name", "odd"])
def test_numbers_of_rows_are_not_taken_for_names_of_photos(read, column):
    """Seen: the photo 1.jpg had the label of the row with the id 1, which was that of 2.jpg."""
    rows, _, _ = read(f"id,{column},class\n1,2.jpg,x\n2,1.jpg,y\n3,gone.jpg,x\n", photos={"1", "2", "1.jpg", "2.jpg"})
    assert [row[0] for row in rows] == ["2.jpg", "1.jpg", "gone.jpg"]


def test_columns_may_be_named(read):
    text = "Bild,Art,width\na.jpg,x,7\n"
    assert read(text, file_column="bild", label_column="ART") == ([("a.jpg", "x", None)], [], False)
    assert read("file,label,other\na.jpg,x,y\n", label_column="other")[0] == [("a.jpg", "y", None)]
    for wrong in ({"file_column": "gone"}, {"label_column": "gone"}):
        with pytest.raises(RecipeError, match=r"gone: .*train\.csv, line 1 has no such column; found bild, art, width"):
            read(text, **wrong)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("image,width,height\na.jpg,1,2\n", "no column label; found image, width, height", "--label-column NAME"),
        ("width,height\n1,2\n", "no column file and no column label", "--file-column NAME --label-column NAME"),
        ("file,class,species\na.jpg,x,y\n", "the label could be class or species", "--label-column 'class'"),
        ("a.jpg,x\nb.jpg,y\n", "this is no header, a.jpg is a photo", "the first line must be"),
        (
            "image,oak,Oak\na.jpg,1,0\nb.jpg,0,1\n",
            "the column oak stands there twice",
            "the first line must be",
        ),
        ("image,oak,ash,elm\na.jpg,0.9,0.1,0\n", "no column label; found image, oak, ash, elm", "--label-column NAME"),
        ("image,oak,ash,elm\na.jpg,1,-1,\n", "no column label; found image, oak, ash, elm", "--label-column NAME"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_would_be_read(read, text, message, hint):
    with pytest.raises(DataError) as caught:
        read(text, photos={"a.jpg", "b.jpg"})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_column_of_0_and_1_for_each_class_is_one_label(read):
    rows, said, several = read("image,oak,class 7,100%\na,1,0,0\nb,0,1.0,0\nc,0,0,1\n")
    assert (rows, several) == ([("a", "oak", None), ("b", "class 7", None), ("c", "100%", None)], False)
    assert said[1:] == ["labels are the 3 columns of 0 and 1, one class each"]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.00", "0.0"), ("True", "False"), ("TRUE", "0")])
def test_each_way_to_write_yes_and_no_is_read(read, yes, no):
    rows, _, several = read(f"image,oak,ash,elm\na,{yes},{no},{no}\nb,{no},{no},{yes}\nc,{no},{yes},{no}\n")
    assert ([label for _, label, _ in rows], several) == (["oak", "elm", "ash"], False)


@pytest.mark.parametrize("column", ["is_valid", "IsTest", "in_train", "is training image"])
def test_a_column_about_a_part_is_no_class(read, column):
    """is_test became a label of every photo that it held a 1 for."""
    rows, _, several = read(f"image,oak,ash,elm,{column}\na,1,0,0,1\nb,0,1,0,0\nc,0,0,1,1\n")
    assert ([label for _, label, _ in rows], several) == (["oak", "ash", "elm"], False)


def test_several_columns_of_1_are_several_labels(read):
    rows, said, several = read("image,oak,ash\na,1,1\nb,0,1\nc,0,0\n")
    assert (rows, several) == ([("a", "ash;oak", None), ("b", "ash", None), ("c", "", None)], True)
    assert said[1:] == ["labels are the 2 columns of 0 and 1, several labels, or none"]
    _, said, _ = read("image,oak,ash,yew\na,1,1,0\nb,0,1,0\nc,0,0,0\n")
    assert said[1].endswith("several labels, or none; no photo is yew, so that cannot be learned")


def test_two_columns_of_0_and_1_beside_another_are_no_classes(read):
    with pytest.raises(DataError, match="no column label"):
        read("image,oak,ash,width\na,1,0,7\nb,0,1,8\n")


@pytest.mark.parametrize("column", ["split", "subset", "data set", "Usage"])
@pytest.mark.parametrize(
    "words", [("Training", "dev", "Testing"), ("train", "valid", "test"), ("train", "val", "eval")]
)
def test_parts_in_a_column_are_called_as_folders_are(read, column, words):
    """Training and dev were refused in tables, and taken for classes as folders."""
    rows, _, _ = read(f"file,label,{column}\n" + "".join(f"{n},x,{word}\n" for n, word in enumerate(words)))
    assert [part for _, _, part in rows] == ["train", "val", "test"]


def test_a_column_that_names_other_things_is_no_split(read):
    assert read("file,label,set\na,x,2019\nb,x,train\n")[0] == [("a", "x", None), ("b", "x", None)]
    for value in ("0", "unlabelled", "later"):
        with pytest.raises(DataError, match=f"line 2: split is '{value}'"):
            read(f"file,label,split\na,x,{value}\n")

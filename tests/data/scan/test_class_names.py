import pytest

from pcn_cli.data.scan.class_names import clean_name, refuse_lookalikes
from pcn_cli.data.scan.layouts import sort_by_folders, sort_by_table
from pcn_cli.data.scan.table import read_table
from pcn_cli.errors import DataError


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("Oak", "oak"), "case"),
        (("a/x", "A/y"), "case"),
        (("cat", "cat "), "spaces"),
        (("cat", "cat\u00a0"), "spaces"),
        (("red fox", "red  fox"), "spaces"),
        (("red fox", "red\u2009fox"), "spaces"),
        (("a /x", "a/x"), "spaces"),
        (("cat", "cat\u200b"), "spaces"),
        (("red_fox", "red fox"), "spaces, case or _"),
        (("Red_Fox", "red fox"), "spaces, case or _"),
        (("1", "1.0"), "how a number is written"),
        (("1", "001"), "how a number is written"),
        (("0", "00"), "how a number is written"),
        (("01", "1.0"), "how a number is written"),
        (("a/12.00", "a/12"), "how a number is written"),
        (("Кот", "кот"), "case"),
        *(
            (("cat", name), f"what cannot be seen: {sign}")
            for name, sign in (
                ("cat\u200d", r"U\+200D ZERO WIDTH JOINER"),
                ("\u2066cat\u2069", r"U\+2066 LEFT-TO-RIGHT ISOLATE, U\+2069 POP DIRECTIONAL ISOLATE"),
                ("cat\ufe0f", r"U\+FE0F VARIATION SELECTOR-16"),
                ("cat\u3164", r"U\+3164 HANGUL FILLER"),
                ("cat\x7f", r"U\+007F"),
                ("Cat\u200e", r"U\+200E LEFT-TO-RIGHT MARK"),
                ("c\u0430t", r"U\+0430 CYRILLIC SMALL LETTER A"),
            )
        ),
        (("B", "\u0392"), r"what cannot be seen: U\+0392 GREEK CAPITAL LETTER BETA"),
        (("t-shirt", "t\u2011shirt"), r"what cannot be seen: U\+2011 NON-BREAKING HYPHEN"),
        (("lady's mantle", "lady\u2019s mantle"), r"what cannot be seen: U\+2019 RIGHT SINGLE QUOTATION MARK"),
    ],
)
def test_names_that_look_the_same_are_refused(names, what):
    """`cat` and `cat ` were two classes, by folders but not by a table."""
    with pytest.raises(DataError, match=f"differ only by {what}$"):
        refuse_lookalikes(names)
    refuse_lookalikes(["oak", "oak/red", "red oak", "oaks", "o ak", "v1", "v1.0", "1", "1.5", "10"])
    refuse_lookalikes(["oak", "oak/red", "red oak", "oaks", "o ak", "кот", "KOT2", "日本", "\u2764\ufe0f"])


@pytest.mark.parametrize("other", ["Cat", "cat\u00a0 x", "cat_x", "cat  x", "cat\u200e x", "c\u0430t x"])
def test_folders_and_tables_say_the_same(tmp_path, other):
    name = "cat" if other == "Cat" else "cat x"
    with pytest.raises(DataError, match="differ only by") as by_folders:
        sort_by_folders(dict.fromkeys((f"{name}/1.jpg", f"{other}/2.jpg", "dog/3.jpg"), ""))
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\n1.jpg,{name}\n2.jpg,{other}\n3.jpg,dog\n", encoding="utf-8")
    with pytest.raises(DataError, match="differ only by") as by_table:
        sort_by_table(tmp_path, {}, read_table(table))
    assert by_folders.value.message == by_table.value.message


@pytest.mark.parametrize("spelled", ["cat ", " cat", "cat\u00a0", "cat\u200b"])
def test_a_folder_is_called_as_a_table_calls_it(tmp_path, spelled):
    (by_folder, _) = sort_by_folders({f"{spelled}/1.jpg": "", "dog/1.jpg": ""}).candidates
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\n1.jpg,{spelled}\n", encoding="utf-8")
    (by_table,) = sort_by_table(tmp_path, {}, read_table(table)).candidates
    assert by_folder.label == by_table.label == "cat"


def test_a_name_of_spaces_alone_stays():
    assert clean_name(" ") == " "
    assert clean_name("  red \t fox ") == "red fox"

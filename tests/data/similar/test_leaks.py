from pcn_cli.data.similar.leaks import find_ties, tied_files
from pcn_cli.records.photos import SplitRow


def row(file, split, *, label="a", sha256="", group=""):
    return SplitRow(file=file, label=label, split=split, sha256=sha256 or file, group=group)


def test_equal_bytes_are_found_in_order():
    rows = [row(str(number), "train", sha256=sha) for number, sha in enumerate("abacba")]
    assert tied_files(rows, ()) == [("exact", ("0", "2", "5")), ("exact", ("1", "4"))]


def test_different_photos_are_no_duplicates():
    assert tied_files([], ()) == []


def test_each_leaking_photo_is_named_once_with_its_surest_tie():
    rows = [
        row("1", "train", sha256="x", group="g"),
        row("2", "test", sha256="x", group="g"),
        row("3", "val", group="g"),
        row("4", "test"),
        row("5", "train"),
        row("6", "val"),
        row("7", "test"),
    ]
    found = find_ties(rows, [("4", "6"), ("5", "7", "2")], differ="split")
    assert [(tie.kind, tie.part, tie.file, tie.other_part, tie.other) for tie in found] == [
        ("exact", "test", "2", "train", "1"),
        ("group", "val", "3", "train", "1"),
        ("near", "test", "4", "val", "6"),
        ("near", "test", "7", "train", "5"),
    ]


def test_what_stays_in_one_part_is_no_leak():
    rows = [row("1", "test", sha256="x"), row("2", "test", sha256="x"), row("3", "train"), row("4", "test")]
    assert find_ties(rows, [("1", "4")], differ="split") == ()


def test_one_picture_under_two_labels_is_a_conflict_wherever_it_stands():
    rows = [
        row("1", "train", label="oak", sha256="x"),
        row("2", "train", label="elm", sha256="x"),
        row("3", "test", label="oak", group="g"),
        row("4", "test", label="elm", group="g"),
        row("5", "val", label="ash"),
    ]
    found = find_ties(rows, [("1", "5")], differ="label")
    assert [(tie.kind, tie.file, tie.label, tie.other, tie.other_label) for tie in found] == [
        ("exact", "2", "elm", "1", "oak"),
        ("near", "5", "ash", "1", "oak"),
    ]


def test_near_duplicates_of_photos_that_were_left_out_do_not_matter():
    assert find_ties([row("1", "train")], [("1", "gone")], differ="split") == ()


def test_a_copy_is_a_picture_that_is_there_twice_in_any_part():
    rows = [
        row("1", "train", sha256="x"),
        row("2", "test", sha256="x"),
        row("3", "train"),
        row("4", "train"),
        row("5", "test", group="g"),
        row("6", "test", group="g"),
    ]
    found = find_ties(rows, [("3", "4")], differ="file")
    assert [(tie.kind, tie.file, tie.other) for tie in found] == [("exact", "2", "1"), ("near", "4", "3")]

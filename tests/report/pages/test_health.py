from pcn_cli.records.photos import Tie
from pcn_cli.report.content import ScanFacts
from pcn_cli.report.pages.health import MOST_PAIRS, files_of, list_pairs


def tie(file, other):
    return Tie(kind="exact", file=file, label="a", part="test", other=other, other_label="b", other_part="train")


def test_a_pair_is_told_once_under_the_gravest_heading():
    leak, conflict, copy = tie("1", "2"), tie("3", "4"), tie("5", "6")
    lists = list_pairs(ScanFacts(leaks=(leak,), conflicts=(leak, conflict), copies=(copy, conflict, tie("2", "1"))))
    assert [(kind.name, kind.ties) for kind in lists] == [
        ("leaks", (leak,)),
        ("conflicts", (conflict,)),
        ("copies", (copy,)),
    ]
    assert files_of(lists) == ["1", "2", "3", "4", "5", "6"]


def test_of_very_many_pairs_the_first_are_shown_and_all_are_counted():
    (copies,) = list_pairs(ScanFacts(copies=tuple(tie(f"{n}", f"{n}'") for n in range(90))))
    assert (len(copies.ties), copies.count) == (MOST_PAIRS, 90)


def test_without_a_scan_there_are_no_pairs():
    assert list_pairs(None) == ()

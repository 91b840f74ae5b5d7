import pytest

from pcn_cli.data.scan.decisions import Decisions, count_decisions, read_decisions
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.errors import DataError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.records.decisions import Decision


def write(path, *lines, head="file,decision,new_label"):
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def decide(file, decision, new_label="", **facts):
    return Decision(file=file, decision=decision, new_label=new_label, **facts)


def scan(photos, *new, earlier=()):
    return scan_photos(photos, decisions=Decisions(earlier=tuple(earlier), new=new))


def label_of(found, file):
    return next(photo.label for photo in found.photos if photo.file == file)


def test_labels_are_corrected_and_photos_left_out_and_the_folder_stays_as_it_was(photo_folder):
    before = {path: sha256_of(path) for path in photo_folder.rglob("*.jpg")}
    found = scan(photo_folder, decide("red/00.jpg", "change", "blue"), decide("red/01.jpg", "remove"))
    assert label_of(found, "red/00.jpg") == "blue"
    assert ("red/01.jpg", "removed by a decision") in [(one.file, one.reason) for one in found.ignored]
    assert len(found.photos) == 35
    assert {path: sha256_of(path) for path in photo_folder.rglob("*.jpg")} == before


def test_a_photo_is_found_by_its_content_under_another_name(photo_folder):
    digest = sha256_of(photo_folder / "red/00.jpg")
    (photo_folder / "red/00.jpg").rename(photo_folder / "red/moved.jpg")
    found = scan(photo_folder, decide("red/00.jpg", "change", "blue", sha256=digest, label="red"))
    assert label_of(found, "red/moved.jpg") == "blue"


def test_a_photo_from_elsewhere_is_taken_in(photo_folder, tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    content = (photo_folder / "red/00.jpg").read_bytes()
    (photo_folder / "red/00.jpg").unlink()
    (tmp_path / "new" / "a.jpg").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    found = scan(photo_folder, decide("a.jpg", "add", "red", folder="new"))
    assert label_of(found, "../new/a.jpg") == "red"
    assert found.photos == tuple(sorted(found.photos, key=lambda photo: photo.file))


def test_of_two_decisions_the_later_counts_and_earlier_ones_bend_to_what_is_there(photo_folder):
    earlier = (decide("red/00.jpg", "change", "blue", label="red"), decide("gone.jpg", "remove"))
    both = Decisions(earlier=earlier, new=(decide("red/00.jpg", "change", "green", label="blue"),))
    assert [(one.file, one.label, one.new_label) for one in both.all][-1] == ("red/00.jpg", "red", "green")
    assert label_of(scan(photo_folder, *both.new, earlier=earlier), "red/00.jpg") == "green"
    confirmed = Decisions(earlier=earlier, new=(decide("red/00.jpg", "keep", label="blue"),))
    assert confirmed.all[-1].new_label == "blue"
    assert (
        label_of(scan(photo_folder, earlier=[decide("red/00.jpg", "change", "blue", label="x")]), "red/00.jpg") == "red"
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (decide("red/99.jpg", "change", "blue"), "red/99.jpg: is not among the photos"),
        (decide("red/00.jpg", "change", "bleu"), "red/00.jpg: there is no class bleu; blue is near"),
        (decide("red/00.jpg", "change", "=cmd()"), "there is no class =cmd(); a new class needs a folder"),
        (decide("red/00.jpg", "remove", sha256="0" * 64), "red/00.jpg: is another photo by now"),
        (decide("red/00.jpg", "keep", label="green"), "is labelled red by now, and was decided about as green"),
        (decide("nowhere.jpg", "add", "red", folder="new"), "nowhere.jpg: there is no such photo in new"),
    ],
)
def test_what_cannot_be_followed_is_told(photo_folder, wrong, told):
    with pytest.raises(DataError, match="rows that cannot be followed") as caught:
        scan(photo_folder, wrong, decide("red/01.jpg", "remove"))
    assert told in caught.value.message
    assert caught.value.exit_code == 3


def test_a_spreadsheet_can_write_the_table(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes("\ufeffDecision;New label;File\r\nChange; blue ;'=a.jpg\r\nKEEP;;b.jpg\r\n;;\r\n".encode())
    assert read_decisions(path) == (decide("=a.jpg", "change", "blue"), decide("b.jpg", "keep"))
    assert count_decisions(read_decisions(path)) == "1 label corrected, 1 label confirmed"


def test_rows_that_decide_nothing_are_told_with_their_lines(tmp_path):
    lines = ("a.jpg,change,", "b.jpg,burn,", ",keep,", "c.jpg,keep,", "c.jpg,remove,", "c.jpg,keep,")
    with pytest.raises(DataError) as caught:
        read_decisions(write(tmp_path / "d.csv", *lines))
    told = caught.value.message
    assert "line 2: a.jpg: change needs a new_label" in told
    assert "line 3: b.jpg: the decision is 'burn', which is none of keep, change, remove, add" in told
    assert "line 4: names no photo" in told
    assert "line 6: c.jpg was decided about before, in another way" in told
    assert "line 7" not in told


@pytest.mark.parametrize(
    ("head", "told"), [("file,label,predicted,starred,note", "stars and notes"), ("name,decision", "no column file")]
)
def test_another_table_is_refused(tmp_path, head, told):
    with pytest.raises(DataError, match=told):
        read_decisions(write(tmp_path / "d.csv", head=head))

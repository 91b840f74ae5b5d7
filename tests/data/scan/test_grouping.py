import pytest

from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.data.similar.leaks import find_leaks
from pcn_cli.data.split import split_scan
from pcn_cli.errors import RecipeError


@pytest.fixture
def bursts(tmp_path, draw_photo):
    """Ten bursts of three photos in each of two classes."""
    for kind, label in enumerate(("owl", "tit")):
        for burst in range(10):
            for shot in range(3):
                draw_photo(tmp_path / label / f"{label}{burst}_{shot}.jpg", seed=1000 * kind + 100 * burst + shot)
    return tmp_path


def groups_of(scan):
    return {photo.file: photo.group for photo in scan.photos}


def test_the_first_capture_group_names_the_group_and_groups_stay_together(bursts):
    scan = scan_photos(bursts, group_by=r"^([a-z]+\d+)_")
    assert groups_of(scan)["owl/owl3_1.jpg"] == "owl3"
    rows = split_scan(scan, seed=0, val=0.2, test=0.2)
    assert {row.split for row in rows} == {"train", "val", "test"}
    assert find_leaks(rows, ()) == ()
    loose = {row.file: row.split for row in split_scan(scan_photos(bursts), seed=0, val=0.2, test=0.2)}
    assert any(loose[f"owl/owl{burst}_0.jpg"] != loose[f"owl/owl{burst}_1.jpg"] for burst in range(10))


@pytest.mark.parametrize(
    ("pattern", "group"), [(r"owl\d", "owl3"), (r"(?:owl)(\d)", "3"), (r"^(owl)/", "owl"), (r"(x)?owl3", "owl3")]
)
def test_what_a_pattern_makes_of_a_name(bursts, pattern, group):
    groups = groups_of(scan_photos(bursts, group_by=pattern))
    assert groups["owl/owl3_1.jpg"] == group
    assert groups["tit/tit4_1.jpg"] is None


@pytest.mark.parametrize("pattern", ["nest", "^owl/nest", "("])
def test_a_pattern_that_matches_nothing_or_is_none_is_refused(bursts, pattern):
    with pytest.raises(RecipeError, match="--group-by") as caught:
        scan_photos(bursts, group_by=pattern)
    assert "--group-by '" in caught.value.hint


def test_a_column_of_the_table_wins_over_a_pattern(bursts):
    lines = [f"owl/owl{n}_0.jpg,x,site {n % 2},g{n}" for n in range(4)]
    (bursts / "labels.csv").write_text("\n".join(["file,label,Owl,group", *lines]))
    assert groups_of(scan_photos(bursts, group_by="owl"))["owl/owl3_0.jpg"] == "site 1"
    assert groups_of(scan_photos(bursts))["owl/owl3_0.jpg"] == "g3"
    assert groups_of(scan_photos(bursts, group_by=r"owl(\d)"))["owl/owl3_0.jpg"] == "3"

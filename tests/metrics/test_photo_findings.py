from typing import Any

from pcn_cli.metrics.photo_findings import PHOTO_CHECKS, PhotoFacts, photo_findings
from pcn_cli.records.photos import Health, Spread, Tie


def tie(**changed: Any) -> Tie:
    facts: dict[str, Any] = {
        "kind": "exact",
        "file": "b.jpg",
        "label": "roses",
        "part": "test",
        "other": "a.jpg",
        "other_label": "roses",
        "other_part": "train",
    }
    return Tie(**(facts | changed))


def health(**changed: Any) -> Health:
    spread = Spread(least=1, median=1, most=1)
    facts: dict[str, Any] = {
        "widths": spread,
        "heights": spread,
        "aspects": spread,
        "modes": {},
        "exact_duplicates": (),
        "imbalance": 1.0,
        "small_classes": (),
        "against_flipping": (),
        "fit": "crop",
        "fit_reason": "",
    }
    return Health(**(facts | changed))


def test_healthy_photos_have_no_findings() -> None:
    assert photo_findings(PhotoFacts(health=health())) == ()


def test_leaks_are_counted_by_kind_with_their_pairs() -> None:
    near = tie(kind="near", file="d.jpg", part="val", other="c.jpg")
    (found,) = photo_findings(PhotoFacts(leaks=[tie(), near]))
    assert found.severity == "warning"
    assert found.title == "2 photos leak from one part into another"
    assert found.evidence == "1 the same file, 1 the same picture: test b.jpg = train a.jpg, val d.jpg = train c.jpg."
    assert photo_findings(PhotoFacts(leaks=[tie()]))[0].title == "1 photo leaks from one part into another"


def test_a_picture_with_two_labels_is_told_with_both() -> None:
    (found,) = photo_findings(PhotoFacts(conflicts=[tie(other_label="tulips")]))
    assert found.title == "1 picture has two labels"
    assert found.evidence == "b.jpg (roses) = a.jpg (tulips)."


def test_a_picture_with_two_sets_of_labels_is_told_with_both() -> None:
    (found,) = photo_findings(PhotoFacts(conflicts=[tie(label="a;b", other_label="")], multi_label=True))
    assert found.title == "1 picture has two sets of labels"
    assert found.evidence == "b.jpg (a;b) = a.jpg (none)."


def test_warnings_come_before_notes_and_every_check_can_speak() -> None:
    unwell = health(small_classes=("elm",), against_flipping=("left",))
    found = photo_findings(
        PhotoFacts(leaks=[tie()], conflicts=[tie()], alike=30, neighbours=[tie(kind="alike")], health=unwell)
    )
    assert len(found) == len(PHOTO_CHECKS) == 6
    assert [one.severity for one in found] == ["warning"] * 5 + ["note"]
    assert all(one.remedy for one in found)

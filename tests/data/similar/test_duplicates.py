import base64

from pcn_cli.data.similar.duplicates import ALIKE_FROM, find_duplicates, find_near_duplicates
from pcn_cli.data.similar.sketch import draw_sketch
from pcn_cli.records.photos import Photo


def test_equal_bytes_are_found_in_order():
    photos = [Photo(file=str(n), label="x", width=1, height=1, sha256=sha) for n, sha in enumerate("abacba")]
    groups = find_duplicates(photos)
    assert [[photo.file for photo in group] for group in groups] == [["0", "2", "5"], ["1", "4"]]


def test_different_photos_are_no_duplicates():
    assert find_duplicates([]) == ()


def near_duplicates_of(pictures):
    """What is found among (sha256, picture) pairs whose files are numbered."""
    photos = [Photo(file=f"{n:03}", label="x", width=1, height=1, sha256=sha) for n, (sha, _) in enumerate(pictures)]
    texts = {f"{n:03}": base64.b64encode(draw_sketch(picture)).decode() for n, (_, picture) in enumerate(pictures)}
    return find_near_duplicates(photos, texts)


def test_a_set_holds_the_exact_copies_too(draw_scene):
    others = [(f"other{seed}", draw_scene(seed)) for seed in range(1, 10)]
    scene = draw_scene(0)
    assert near_duplicates_of([("a", scene), ("b", scene.resize((90, 70))), *others, ("a", scene)]) == (
        (("000", "001", "011"),),
        0,
    )
    assert near_duplicates_of([("a", scene), ("a", scene), *others]) == ((), 0)


def test_a_quarter_of_all_photos_being_one_picture_is_told_instead_of_kept_together(draw_scene):
    scene = draw_scene(0)
    alike = [(f"alike{n}", scene.resize((80 + n, 60 + n))) for n in range(ALIKE_FROM + 1)]
    others = [(f"other{seed}", draw_scene(seed)) for seed in range(1, 30)]
    assert near_duplicates_of([*alike, *others]) == ((), ALIKE_FROM + 1)
    ((kept,), told) = near_duplicates_of([*alike[:-1], *others])
    assert (len(kept), told) == (ALIKE_FROM, 0)

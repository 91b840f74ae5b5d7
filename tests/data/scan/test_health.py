import pytest

from pcn_cli.data.scan.health import examine_photos
from pcn_cli.records.photos import Photo, Scan


def health_of(*photos):
    return examine_photos(Scan(root="/photos", layout="class folders", photos=tuple(photos)))


def photo(number, label="oak", *, width=40, height=30, name="img", sha256="", mode="RGB"):
    file = f"{label}/{name}{number}.jpg"
    return Photo(file=file, label=label, width=width, height=height, sha256=sha256 or file, mode=mode)


def test_sizes_modes_copies_and_small_classes_are_counted():
    photos = [photo(n, width=40 + n) for n in range(11)]
    health = health_of(*photos, photo(1, "elm", mode="L", sha256="x"), photo(2, "elm", sha256="x"))
    assert (health.widths.least, health.widths.median, health.widths.most) == (40, 44, 50)
    assert health.aspects.least == pytest.approx(4 / 3)
    assert health.modes == {"RGB": 12, "L": 1}
    assert health.exact_duplicates == (("elm/img1.jpg", "elm/img2.jpg"),)
    assert health.small_classes == ("elm",)
    assert health.imbalance == 5.5
    assert health_of() is None


@pytest.mark.parametrize(
    ("shapes", "fit"),
    [
        ([(640, 480), (480, 640), (600, 400)], "crop"),
        ([(160, 90)] * 3, "squash"),
        ([(300, 100)] * 3, "pad"),
        ([(160, 90), (90, 160), (100, 100)], "pad"),
    ],
)
def test_the_fit_follows_the_shapes(shapes, fit):
    photos = [photo(n, width=shapes[n % 3][0], height=shapes[n % 3][1]) for n in range(30)]
    assert health_of(*photos).fit == fit


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("handLeft", "handRight"), ("left", "right")),
        (("turn_left", "stop sign"), ("left", "sign")),
        (("0", "7", "oak"), ("0", "7")),
        (("b", "d"), ("b", "d")),
        (("cleft", "bright"), ()),
        (("102", "103"), ()),
    ],
)
def test_class_names_that_speak_against_flipping(labels, words):
    assert health_of(*[photo(n, label) for n, label in enumerate(labels)]).against_flipping == words


def test_file_names_count_where_many_say_the_side():
    plain = [photo(n) for n in range(100)]
    sided = [photo(n, name="eye_LEFT_") for n in range(6)]
    assert health_of(*plain, *sided).against_flipping == ("left",)
    assert health_of(*plain, *sided[:2]).against_flipping == ()

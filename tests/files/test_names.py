from pathlib import Path

import pytest

from pcn_cli.errors import ResourceError
from pcn_cli.files.names import free_path, refuse_inside, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("red tulip", "red tulip"),
        ("a/b\\c", "a_b_c"),
        ("..", "_"),
        ("", "_"),
        ("a\x1b\u202eb", "a__b"),
        ("CON:", "CON_"),
        ("CON", "_CON"),
        ("nul", "_nul"),
        ("aux.tar.gz", "_aux.tar.gz"),
        ("Com1", "_Com1"),
        ("LPT\u00b2.txt", "_LPT\u00b2.txt"),
        ("prn .png", "_prn .png"),
        ("CONIN$", "_CONIN$"),
        ("con. ", "_con"),
        ("console", "console"),
        ("com10", "com10"),
        ("a.nul", "a.nul"),
    ],
)
def test_any_text_becomes_one_file_name(text, name):
    assert safe_name(text) == name


def test_names_of_one_call_differ():
    taken: set[Path] = set()
    paths = [free_path(Path("maps"), "a.png", taken) for _ in range(3)]
    assert paths == [Path("maps/a.png"), Path("maps/a-2.png"), Path("maps/a-3.png")]
    assert taken == set(paths)


def test_what_is_on_the_disk_is_not_named_again(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.png").symlink_to("nowhere")
    assert free_path(tmp_path, "a.png", set()) == tmp_path / "a-3.png"


def test_what_may_be_replaced_is_named_again(tmp_path):
    (tmp_path / "a.png").touch()
    taken: set[Path] = set()
    assert free_path(tmp_path, "a.png", taken, replace=True) == tmp_path / "a.png"
    assert free_path(tmp_path, "a.png", taken, replace=True) == tmp_path / "a-2.png"


@pytest.mark.parametrize("target", ["photos", "photos/maps", "photos/../photos/maps", "link", "link/maps"])
def test_nothing_may_be_written_among_photos(tmp_path, target):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    with pytest.raises(ResourceError, match="never written to"):
        refuse_inside(tmp_path / target, [tmp_path / "photos", Path("/other")])


@pytest.mark.parametrize("target", ["", "maps", "photos-2", "photos/../maps"])
def test_beside_and_above_photos_may_be_written(tmp_path, target):
    (tmp_path / "photos").mkdir()
    refuse_inside(tmp_path / target, [tmp_path / "photos", Path("/other")])

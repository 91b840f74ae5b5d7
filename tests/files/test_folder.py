import pytest

from pcn_cli.errors import ResourceError
from pcn_cli.files.folder import replacing_folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_folder_takes_the_place_of_the_older_one_in_one_step(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with replacing_folder(target) as new:
        new.put("a/b.txt", b"new")
        assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["report/a/b.txt"]


def test_a_block_that_fails_leaves_the_older_folder_and_nothing_else(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def fail():
        with replacing_folder(target) as new:
            new.put("b.txt", b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == ["report/old.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"), replacing_folder(tmp_path / "file" / "report"):
        pass

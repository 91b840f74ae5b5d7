import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from pcn_cli.data.scan import decode
from pcn_cli.data.scan.decode import CRASHED, inspect_file, inspect_files, keep_seen
from pcn_cli.errors import ResourceError
from pcn_cli.files import child
from pcn_cli.files.atomic import sha256_of


@pytest.fixture
def photos(tmp_path, draw_photo):
    paths = [draw_photo(tmp_path / f"{n} \n ü.jpg", seed=n, width=10 + n) for n in range(9)]
    (tmp_path / "empty.jpg").touch()
    return [*paths, tmp_path / "empty.jpg", tmp_path / "gone.jpg"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_photo_has_facts_where_that_is_asked_for(tmp_path, draw_photo, workers):
    path = draw_photo(tmp_path / "photo.jpg", seed=1, width=200, height=200)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.8)])
    (_, strict), (_, facts) = (
        one for asked in (False, True) for one in inspect_files([path], workers=workers, load_truncated=asked)
    )
    assert (strict.width, strict.missing) == (0, None)
    assert strict.reason.startswith("truncated JPEG")
    assert (facts.width, facts.reason, facts.sha256) == (200, "", sha256_of(path))
    assert 0 < facts.missing < 0.5


@pytest.mark.parametrize("workers", [0, 1, 2, None])
def test_every_file_is_inspected_once_for_any_number_of_workers(photos, workers):
    found = list(inspect_files(photos, workers=workers))
    assert sorted(position for position, _ in found) == list(range(len(photos)))
    facts = dict(found)
    assert facts == {position: inspect_file(path) for position, path in enumerate(photos)}
    assert (facts[3].width, facts[3].height, facts[3].sha256) == (13, 16, sha256_of(photos[3]))
    assert "0 bytes" in facts[9].reason
    assert "does not exist" in facts[10].reason


def test_a_decoder_that_crashes_costs_one_file(photos, monkeypatch):
    # Answers like the real one, except that it dies at the file 5.
    code = """
import sys, json, os
for line in sys.stdin:
    if json.loads(line)[0].rsplit('/', 1)[-1].startswith('5'): os._exit(9)
    print(json.dumps({'width': 1, 'height': 1}), flush=True)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    monkeypatch.setattr(decode, "_start_process", lambda: subprocess.Popen([sys.executable, "-c", code], **pipes))
    facts = dict(inspect_files(photos, workers=2))
    assert [position for position, fact in facts.items() if fact.reason] == [5, 10]  # 10 is not there at all
    assert facts[5].reason == CRASHED
    assert "does not exist" in facts[10].reason


@pytest.mark.parametrize("ends", ["at a file", "at its start"])
def test_a_process_that_the_system_ends_costs_no_file(photos, monkeypatch, tmp_path, ends):
    """Seen: where memory was short, the system ended such a process, and a sound photo was listed as unreadable."""
    mark = tmp_path / "died"
    program = (
        f"import os, pathlib, signal; mark = pathlib.Path({str(mark)!r}); first = not mark.exists(); mark.touch()\n"
        "if first: {}\n" + child.PROGRAM.replace("; ", "\n")
    )
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    at_a_file = "import sys; print('ready', flush=True); sys.stdin.readline(); " + die
    monkeypatch.setattr(child, "PROGRAM", program.format(at_a_file if ends == "at a file" else die))
    facts = dict(inspect_files(photos, workers=1))
    assert mark.is_file()
    assert facts == {position: inspect_file(path) for position, path in enumerate(photos)}


def test_stopping_early_ends_every_process(photos, monkeypatch):
    started = []
    monkeypatch.setattr(
        decode, "_start_process", lambda real=decode._start_process: started.append(real()) or started[-1]
    )
    before = threading.active_count()  # a library may keep threads of its own
    results = inspect_files(photos, workers=2)
    next(results)
    results.close()
    assert started
    assert all(process.poll() is not None for process in started)
    assert threading.active_count() == before


def test_no_process_to_be_had_is_an_error_of_its_own(photos, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ResourceError, match="cannot decode photos in another process"):
        list(inspect_files(photos, workers=1))


def test_modules_in_the_current_folder_are_not_run(photos, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert not dict(inspect_files(photos[:1], workers=1))[0].reason


def test_what_a_process_imports_comes_from_the_standard_library_before_anything_else(photos, tmp_path, monkeypatch):
    # Backports such as enum34 lie where other packages do; the folder of packages must not win over the library.
    (tmp_path / "typing.py").write_text("raise SystemExit('run')")
    monkeypatch.setattr(child.pcn_cli, "__file__", str(tmp_path / "pcn_cli" / "__init__.py"))
    assert not dict(inspect_files(photos[:1], workers=1))[0].reason


@pytest.mark.parametrize("workers", [0, 1])
def test_what_an_earlier_scan_saw_is_not_decoded_again(photos, tmp_path, workers):
    seen = tmp_path / "seen.sqlite"
    truth = dict(inspect_files(photos, workers=workers, seen=seen))
    keep_seen([replace(facts, width=777) for facts in truth.values()], seen)  # what nobody saw shows who was asked
    photos[0].write_bytes(photos[0].read_bytes() + b"\0")
    facts = dict(inspect_files(photos, workers=workers, seen=seen))
    assert [facts[position].width for position in range(9)] == [10] + [777] * 8
    assert facts[0].sha256 == sha256_of(photos[0])
    assert {position: facts[position].reason for position in (9, 10)} == {n: truth[n].reason for n in (9, 10)}


def test_what_is_missing_of_a_truncated_photo_is_asked_again(tmp_path, draw_photo):
    path, seen = draw_photo(tmp_path / "photo.jpg", seed=1, width=200, height=200), tmp_path / "seen.sqlite"
    path.write_bytes(path.read_bytes()[:-2000])
    found = inspect_file(path, load_truncated=True)
    assert found.missing
    keep_seen([found], seen)
    assert "truncated" in inspect_file(path, seen=seen).reason


@pytest.mark.parametrize(
    "changed", ["pcn_cli.data.scan.decode.__version__", "PIL.__version__", "pcn_cli.data.scan.decode._FORM"]
)
def test_facts_of_another_version_are_none(tmp_path, draw_photo, monkeypatch, changed):
    path, seen = draw_photo(tmp_path / "photo.jpg", seed=1), tmp_path / "seen.sqlite"
    keep_seen([replace(inspect_file(path), width=777)], seen)
    assert inspect_file(path, seen=seen).width == 777
    monkeypatch.setattr(changed, "another")
    assert inspect_file(path, seen=seen).width != 777


def test_what_was_recalled_is_not_written_again(tmp_path, draw_photo):
    path, seen = draw_photo(tmp_path / "photo.jpg", seed=1), tmp_path / "seen.sqlite"
    keep_seen([inspect_file(path)], seen)
    recalled = inspect_file(path, seen=seen)
    assert recalled == replace(inspect_file(path), recalled=True)
    keep_seen([replace(recalled, width=777)], seen)
    assert inspect_file(path, seen=seen) == recalled

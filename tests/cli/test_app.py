"""What a person meets at the prompt: errors in words, exit codes, data on stdout and everything else on stderr."""

import errno
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from pcn_cli.cli.app import _in_order, main
from pcn_cli.errors import StoppedError

PCN = (sys.executable, "-m", "pcn_cli")


def run_pcn(*words: str, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*PCN, *words], cwd=cwd, input=stdin, capture_output=True, text=True, env=environment, check=False
    )


def test_version_and_nothing_else(tmp_path):
    result = run_pcn("--version", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("pcn 0.")


def test_a_mistyped_command_is_suggested(tmp_path):
    result = run_pcn("finetone", cwd=tmp_path)
    assert result.returncode == 2
    assert "finetune" in result.stderr


def test_a_mistyped_option_is_suggested(tmp_path):
    result = run_pcn("finetune", "photos", "--epoch", "3", cwd=tmp_path)
    assert result.returncode == 2
    assert "--epochs" in result.stderr


@pytest.mark.parametrize("words", [("predict", "a.jpg"), ("report",), ("evaluate",)])
def test_without_a_run_the_command_to_type_is_named(words, tmp_path):
    (tmp_path / "a.jpg").touch()
    result = run_pcn(*words, cwd=tmp_path)
    assert result.returncode == 8
    assert result.stdout == ""
    assert result.stderr == "error: there is no finished run yet\n  try: make one with `pcn finetune PHOTOS`\n"


def test_a_folder_that_is_not_there(tmp_path):
    result = run_pcn("finetune", "nowhere", cwd=tmp_path)
    assert result.returncode == 3
    assert "nowhere" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_every_problem_of_a_recipe_in_one_message(tmp_path):
    (tmp_path / "mine.yaml").write_text("train:\n  epoch: 3\n  lr: no\n")
    result = run_pcn("recipes", "check", "mine.yaml", "--set", "seed=-1", cwd=tmp_path)
    assert result.returncode == 2
    for word in ("train.epoch", "train.epochs", "train.lr", "--set seed=-1"):
        assert word in result.stderr


def test_inspect_prints_json_even_where_it_refuses(tmp_path, photo_folder):
    for label in ("blue", "green"):
        for photo in (photo_folder / label).iterdir():
            photo.unlink()
        (photo_folder / label).rmdir()
    result = run_pcn("inspect", str(photo_folder), "--json", cwd=tmp_path)
    assert result.returncode == 3
    assert json.loads(result.stdout)["classes"] == {"red": 12}
    assert "error:" in result.stderr


def test_hostile_names_do_not_steer_the_terminal(tmp_path, photo_folder):
    (photo_folder / "red").rename(photo_folder / "\x1b[31mred[bold]\u202e")
    result = run_pcn("inspect", str(photo_folder), cwd=tmp_path)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "\\u001b[31mred[bold]\\u202e" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes on Windows")
def test_a_closed_pipe_ends_quietly(tmp_path):
    with subprocess.Popen(
        [*PCN, "recipes", "show"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 141
    assert errors == b""


def test_flags_without_effect_are_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    for words in (
        ("predict", "a.jpg", "--look", "heat"),
        ("predict", "a.jpg", "--map", "evidence"),
        ("predict", "a.jpg", "--map", "look"),
        ("predict", "a.jpg", "--overlay", "maps", "--map", "evidence", "--look", "heat"),
        ("predict", "a.jpg", "--json", "--csv"),
    ):
        assert run_pcn(*words, cwd=tmp_path).returncode == 2


def test_recipes_show_is_a_recipe_again(tmp_path):
    shown = run_pcn("recipes", "show", "quick", cwd=tmp_path)
    (tmp_path / "again.yaml").write_text(shown.stdout)
    assert run_pcn("recipes", "check", "again.yaml", cwd=tmp_path).returncode == 0
    assert shown.stdout == run_pcn("recipes", "show", "again.yaml", cwd=tmp_path).stdout


def test_runs_of_an_empty_folder(tmp_path):
    result = run_pcn("runs", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert "pcn finetune" in result.stderr


SHELL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a shell and /dev/full")  # noqa: PTH110


@SHELL
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("recipes list > /dev/full", 6, "standard output cannot be written: No space left"),
        ("--help > /dev/full", 6, "standard output cannot be written"),
        ("runs --json > /dev/full", 6, "standard output cannot be written"),
        ("recipes list >&-", 6, "standard output is closed"),
        ("predict - <&-", 6, "standard input is closed"),
        ("recipes list 2>&-", 0, ""),
        ("recipes list 2> /dev/full", 0, ""),
        ("doctor --no-such-option 2> /dev/full", 2, ""),
    ],
)
def test_streams_that_are_full_or_closed_are_no_bug(tmp_path, line, code, words):
    """Seen: "a bug of pcn: OSError", and "'NoneType' object has no attribute 'buffer'" for a closed standard input."""
    result = subprocess.run(
        f"{sys.executable} -m pcn_cli {line}", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "bug" not in result.stderr
    assert "Traceback" not in result.stderr


@SHELL
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_redirected_result_is_whole_in_any_encoding(pcn, tmp_path, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run([*PCN, "recipes", "show"], cwd=tmp_path, capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert len(result.stdout.splitlines()) == len(pcn("recipes", "show").stdout.splitlines())


@pytest.mark.parametrize("encoding", ["shift_jis", "iso8859-5"])
def test_no_command_loses_a_letter_to_its_encoding(pcn, photo_folder, encoding):
    (photo_folder / "red").rename(photo_folder / "naïve 日本 \U0001f600")
    for words in (("inspect", photo_folder), ("recipes", "--help"), ("models", "info", "nano")):
        whole = pcn(*words)
        sys.stdout.reconfigure(encoding=encoding, errors="strict")
        result = pcn(*words)
        sys.stdout.reconfigure(encoding="utf-8")
        assert (whole.returncode, result.returncode, result.stderr) == (0, 0, whole.stderr)
        assert len(result.stdout.splitlines()) == len(whole.stdout.splitlines())
        if "--help" not in words:  # whose frames are drawn with other signs
            assert result.stdout == whole.stdout.decode().encode(encoding, "backslashreplace")


def test_help_into_a_closed_pipe_ends_like_every_command(tmp_path):
    """Seen: `pcn --help | head -1` left with 1."""
    with subprocess.Popen([*PCN, "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("runs -q", "-q runs"),
        ("finetune d --quiet --epochs 3", "--quiet finetune d --epochs 3"),
        ("models get s60 --debug -q", "--debug -q models get s60"),
        ("--json runs", "runs --json"),
        ("runs --json compare A B", "runs compare A B --json"),
        ("predict -- -q --json", "predict -- -q --json"),
        ("predict a.jpg --json -- -q", "predict a.jpg --json -- -q"),
        ("", ""),
    ],
)
def test_global_switches_and_json_may_stand_anywhere(typed, understood):
    assert _in_order(typed.split()) == understood.split()


def test_quiet_after_the_command_is_quiet(pcn):
    assert pcn("runs").stderr != b""
    for words in (("runs", "-q"), ("-q", "runs"), ("runs", "--quiet")):
        assert pcn(*words)[:] == (0, b"", b"")


def stopped_by(number, swallow=()):
    def list_runs():
        try:
            os.kill(os.getpid(), number)
            time.sleep(1)
        except swallow:
            return []
        pytest.fail("was not stopped")

    return list_runs


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
@pytest.mark.parametrize("swallow", [(), Exception, BaseException], ids=["none", "exceptions", "everything"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"])
def test_no_signal_is_swallowed(pcn, monkeypatch, name, swallow):
    """Seen: `pcn predict` went on after a SIGTERM and left with 0, and the photo was a "damaged JPEG (stopped)"."""
    number, before = getattr(signal, name), signal.getsignal(getattr(signal, name))
    if name == "SIGINT" and swallow is BaseException:
        pytest.skip("nobody catches a KeyboardInterrupt")
    monkeypatch.setattr("pcn_cli.stages.runs.list_runs", stopped_by(number, swallow))
    result = pcn("runs")
    assert result.returncode == 128 + number
    assert b"bug" not in result.stderr
    if name != "SIGINT":
        assert result.stderr.endswith(b"error: stopped\n  try: pcn runs\n")
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
def test_a_terminal_may_close_under_nohup(pcn, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr("pcn_cli.stages.runs.list_runs", lambda: os.kill(os.getpid(), signal.SIGHUP) or [])
        assert pcn("runs").returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a/b.csv"), "the disk is full: cannot use runs/a/b.csv"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "not allowed to use runs"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "not allowed to use x"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "letter/x"), "letter is a file, not a folder"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "aaa"), "cannot use aaa: File name too long"),
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "loop"), "cannot use loop: Too many levels"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out", "/mnt/x"), "cannot use /mnt/x: Connection timed out"),
        (OSError(errno.ESTALE, "Stale file handle", "/mnt/x"), "see whether the disk is still there"),
        (OSError("encoder error -2 when writing image file"), "encoder error -2"),
    ],
)
def test_whatever_the_system_refuses_is_told_in_words(pcn, monkeypatch, tmp_path, error, words):
    (tmp_path / "letter").touch()

    def refuse():
        raise error

    monkeypatch.setattr("pcn_cli.stages.runs.list_runs", refuse)
    result = pcn("runs")
    assert result.returncode == 6
    assert words in result.stderr.decode()
    assert "\n  try: " in result.stderr.decode()
    assert b"bug" not in result.stderr


def test_libraries_are_silent_unless_debugging(pcn, monkeypatch):
    """Seen: lines such as "…/_logistic.py:1447: UserWarning: …" among the output, with -q as well."""

    def speak():
        for kind in (UserWarning, FutureWarning, DeprecationWarning, ResourceWarning, RuntimeWarning):
            warnings.warn(f"more labels than photos: {kind}", kind, stacklevel=1)
        for library in ("timm", "PIL.TiffImagePlugin", "sklearn", "albumentations", None):
            logging.getLogger(library).error("labels of %s", library)
        logging.getLogger("pcn_cli.stages").warning("two labels")
        return []

    monkeypatch.setattr("pcn_cli.stages.runs.list_runs", speak)
    monkeypatch.setenv("TORCH_LOGS", "")  # which is put back after the test
    monkeypatch.delenv("TORCH_LOGS")
    for words, shown in ((("runs", "-q"), 0), (("-q", "runs"), 0), (("runs", "--debug"), 5)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert b"labels" not in pcn(*words).stderr
        assert len(seen) == shown
    assert os.environ["TORCH_LOGS"] == "-all"  # torch's own handlers, which print, are given nothing


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("could not create a primitive"), RuntimeError("can't start new thread"),
     RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "Cannot allocate memory")],
    ids=str,
)  # fmt: skip
def test_memory_that_runs_out_anywhere_is_no_bug(pcn, monkeypatch, error):
    """Under a memory limit five of eight runs ended as "a bug of pcn"."""
    import torch  # noqa: F401 - as every command that computes has it

    def refuse() -> None:
        raise error

    monkeypatch.setattr("pcn_cli.stages.runs.list_runs", refuse)
    result = pcn("runs")
    assert result.returncode == 6
    assert b"memory" in result.stderr
    assert b"bug" not in result.stderr


def test_at_the_end_nothing_is_searched_for_cycles(monkeypatch):
    ends = []
    monkeypatch.setattr("atexit.register", ends.append)
    monkeypatch.setattr(sys, "argv", ["pcn", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert ends == [gc.freeze]


@pytest.mark.parametrize(("rank", "said"), [("0", True), ("1", False)])
def test_of_several_processes_that_are_stopped_one_speaks(rank, said, monkeypatch, capfd):
    def stop(*_: object, **__: object) -> None:
        raise StoppedError("stopped", signal_number=signal.SIGTERM)

    monkeypatch.setattr("pcn_cli.cli.app.app", stop)
    for name, value in {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 128 + signal.SIGTERM
    assert ("stopped" in capfd.readouterr().err) is said

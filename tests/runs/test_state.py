"""What a run knows of itself, and what a kill leaves behind."""

import logging
import sys
import warnings
from pathlib import Path

import pytest

from pcn_cli.errors import ModelError, ResourceError, RunError, StoppedError
from pcn_cli.runs import state
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import (
    check_model,
    command_line,
    mask_userinfo,
    read_record,
    recording_outcome,
    recording_stage,
    start_run,
    sweep_parts,
)


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir(tmp_path / "run")
    with start_run(run, kind="train", photos=tmp_path / "photos", card="s60", device="cpu"):
        return run


def test_a_stage_counts_only_once_its_files_exist(run):
    with pytest.raises(RuntimeError), recording_stage(run, "evaluate", (run.metrics,)):
        raise RuntimeError
    assert read_record(run).stages == {}
    with recording_stage(run, "evaluate", (run.metrics,)):
        run.metrics.write_text("{}")
    assert set(read_record(run).stages["evaluate"].artifacts) == {"metrics.json"}


def test_measuring_again_takes_back_the_report(run):
    for name in ("train", "evaluate", "report"):
        with recording_stage(run, name, ()):
            pass
    with recording_stage(run, "evaluate", ()):
        assert set(read_record(run).stages) == {"train"}
    assert set(read_record(run).stages) == {"train", "evaluate"}


def test_how_a_run_ended_is_written_down(run):
    with pytest.raises(KeyboardInterrupt), recording_outcome(run):
        raise KeyboardInterrupt
    assert read_record(run).status == "stopped"
    with pytest.raises(ZeroDivisionError), recording_outcome(run):
        raise ZeroDivisionError
    assert read_record(run).status == "failed"
    assert "ZeroDivisionError" in run.log.read_text()
    with recording_outcome(run):
        pass
    assert read_record(run).status == "finished"


def test_leftovers_of_killed_writes_are_swept(run):
    (run.checkpoints / ".step-00000008.part").mkdir(parents=True)
    (run.checkpoints / ".step-00000008.part" / "model.safetensors").touch()
    (run.root / ".abc.part.json").touch()
    sweep_parts(run)
    assert {path.name for path in run.root.rglob("*")} == {"run.json", "checkpoints", ".lock"}


def test_a_changed_model_is_noticed(run):
    run.model.mkdir()
    with recording_stage(run, "train", (run.model,)):
        (run.model / "config.json").write_text("{}")
    check_model(run)
    (run.model / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="sha256"):
        check_model(run)


def test_a_run_may_not_lie_where_something_else_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with (
        pytest.raises(RunError, match="is there already"),
        start_run(RunDir(tmp_path / "mine"), kind="train", photos=Path("/photos"), card="", device=""),
    ):
        pass
    with (
        pytest.raises(ResourceError, match="never written to"),
        start_run(RunDir(tmp_path / "p" / "run"), kind="train", photos=tmp_path / "p", card="", device=""),
    ):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "letter.txt"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:token@host/deit", "https://***@host/deit"),
        ("--mirror=https://token@host:8080", "--mirror=https://***@host:8080"),
        ("http://a:p@ss@host/x@y", "http://***@host/x@y"),
        ("x=http://a:b@c y=ftp://d:e@f/", "x=http://***@c y=ftp://***@f/"),
        ("https://host/path@2x.png", "https://host/path@2x.png"),
        ("https://host?mail=a@b", "https://host?mail=a@b"),
        ("photos/a@b.jpg", "photos/a@b.jpg"),
        ("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
    ],
)
def test_names_and_passwords_in_addresses_are_masked(text, masked):
    assert mask_userinfo(text) == masked


def test_the_command_holds_no_secret(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pcn", "finetune", "my photos", "--mirror", "https://u:secret@host"])
    assert command_line() == ("pcn", "finetune", "my photos", "--mirror", "https://***@host")
    assert "secret" not in " ".join(command_line())


def test_the_module_is_shown_as_the_program(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/pcn_cli/__main__.py", "demo"])
    assert command_line() == ("pcn", "demo")


ERRORS = [
    (ResourceError("the disk is full", "free some space"), "failed"),
    (OSError(28, "No space left on device"), "failed"),
    (ZeroDivisionError("bug"), "failed"),
    (StoppedError("stopped", signal_number=15), "stopped"),
    (KeyboardInterrupt(), "stopped"),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
@pytest.mark.parametrize("writable", [True, False], ids=["", "log and record on a full disk"])
def test_the_error_of_the_work_is_the_one_that_is_told(run, monkeypatch, capsys, error, status, writable):
    """Seen: the log's own handler printed "--- Logging error ---" with a traceback where the disk was full."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def work() -> None:
        with recording_outcome(run):
            if not writable:
                monkeypatch.setattr(state._RunLog, "flush", fail)
                monkeypatch.setattr(Path, "write_bytes", fail)
            raise error

    with pytest.raises(type(error)) as caught:
        work()
    monkeypatch.undo()
    assert caught.value is error
    assert capsys.readouterr() == ("", "")
    assert read_record(run).status == (status if writable else "running")


def test_a_log_that_cannot_be_begun_is_told_in_words(run):
    run.log.mkdir()
    with pytest.raises(ResourceError, match=r"cannot write .*run\.log"), recording_outcome(run):
        pytest.fail("worked without a log")


def test_warnings_of_libraries_go_into_the_log(run):
    logging.captureWarnings(capture=True)
    try:
        with warnings.catch_warnings(), recording_outcome(run):
            warnings.simplefilter("always")
            logging.getLogger("py.warnings").warning("more classes than photos")
    finally:
        logging.captureWarnings(capture=False)
    assert "WARNING more classes than photos" in run.log.read_text()


def test_a_record_that_may_not_be_read_is_told_in_words(run):
    run.record.unlink()
    run.record.mkdir()
    with pytest.raises(ResourceError, match=r"cannot read .*run\.json"):
        read_record(run)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"status":' * 50_000, "NaN", '{"status": NaN}', "[]", "3"])
def test_a_record_that_is_none_is_told_as_damaged(run, text):
    """run.json nested 100,000 deep was taken for a bug of ours."""
    run.record.write_text(text)
    with pytest.raises(RunError, match=r"run.json is damaged"):
        read_record(run)


def test_a_record_that_never_ends_is_not_read(run):
    run.record.unlink()
    run.record.symlink_to("/dev/zero")
    with pytest.raises(RunError, match=r"run.json is damaged: it is no regular file"):
        read_record(run)

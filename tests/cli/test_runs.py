"""`pcn runs` on folders of every state, damaged ones among them."""

import io
import json
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.main import get_command

from pcn_cli.cli import console
from pcn_cli.cli.commands.runs import app, list_runs
from pcn_cli.errors import RunError
from pcn_cli.files.folder import hold_folder
from pcn_cli.recipe.recipe_yaml import dump_recipe
from pcn_cli.recipe.schema import ModelSection, Recipe
from pcn_cli.records.metrics import Metric
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.run import RunRecord
from pcn_cli.runs.rundir import RunDir, set_latest
from pcn_cli.runs.state import refuse_occupied, write_record
from pcn_cli.stages.runs import remove_runs, rename_run
from pcn_cli.stages.runs_page import fingerprint_test


@pytest.fixture
def runs(tmp_path) -> Path:
    """A stopped, a finished and a damaged run, each with a checkpoint of a megabyte."""
    for number, status in enumerate(("stopped", "finished", "finished"), start=1):
        run = RunDir(tmp_path / "runs" / f"fruit-{number}")
        run.checkpoints.mkdir(parents=True)
        (run.checkpoints / "raw.safetensors").write_bytes(bytes(10**6))
        record = RunRecord(
            status=status, created=f"2025-01-0{number}T10:00:00+00:00", photos="/fruit", card="tiny", argv=("pcn",),
            versions={}, device="cpu",
        )  # fmt: skip
        write_record(run, record)
    accuracy = Metric(value=0.9, n=40, method="wilson", ci_low=0.8, ci_high=0.95)
    (tmp_path / "runs" / "fruit-2" / "metrics.json").write_text(json.dumps({"accuracy": asdict(accuracy)}))
    set_latest(RunDir(tmp_path / "runs" / "fruit-2"), runs=tmp_path / "runs")
    (tmp_path / "runs" / "fruit-3" / "run.json").write_text('{"status": "fini')
    return tmp_path / "runs"


def test_runs_are_a_table(pcn, runs):
    result = pcn("runs")
    assert (result.returncode, result.stderr) == (0, b"")
    header, *rows = [line.split() for line in result.stdout.decode().splitlines()]
    assert header == ["run", "status", "model", "accuracy", "photos", "disk", "made"]
    assert rows == [
        ["fruit-3", "damaged", "1", "MB"],
        ["fruit-1", "stopped", "tiny", "1", "MB", "2025-01-01"],
        ["fruit-2", "(latest)", "finished", "tiny", "90.0%", "40", "1", "MB", "2025-01-02"],
    ]


def test_in_a_narrow_terminal_no_cell_of_a_run_is_broken(monkeypatch, runs):
    long = RunDir(runs / "flowers-mobilenetv2_100-1")
    (runs / "fruit-2").rename(long.root)
    set_latest(long, runs=runs)
    screen = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, highlight=False)
    monkeypatch.setattr(console, "out", screen)
    monkeypatch.chdir(runs.parent)
    list_runs(typer.Context(get_command(app)))
    lines = [line.split() for line in screen.file.getvalue().splitlines()]
    assert ["flowers-mobilenetv2_100-1", "(latest)", "finished", "90.0%", "1", "MB", "2025-01-02"] in lines
    assert len(lines) == 4


def test_json_rows_are_objects(pcn, runs):
    rows = {row["name"]: row for row in json.loads(pcn("runs", "--json").stdout)}
    assert rows["fruit-3"]["status"] == "damaged"
    assert rows["fruit-2"]["bytes"] > 10**6
    del rows["fruit-2"]["bytes"]
    assert rows["fruit-2"] == {
        "name": "fruit-2", "status": "finished", "card": "tiny", "created": "2025-01-02T10:00:00+00:00",
        "accuracy": 0.9, "mean_average_precision": None, "photos": 40, "latest": True,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b'{"status": "running"}', b'{"status": 3}'])
def test_a_damaged_record_breaks_nothing(pcn, runs, content):
    (runs / "fruit-3" / "run.json").write_bytes(content)
    rows = json.loads(pcn("runs", "--json").stdout)
    assert [(row["name"], row["status"]) for row in rows] == [
        ("fruit-3", "damaged"), ("fruit-1", "stopped"), ("fruit-2", "finished"),
    ]  # fmt: skip
    assert pcn("runs", "clean").returncode == 0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"accuracy": 0.9}', b'{"accuracy": {"value": "a"}}'])
def test_damaged_metrics_are_said_so(pcn, runs, content):
    (runs / "fruit-2" / "metrics.json").write_bytes(content)
    row = json.loads(pcn("runs", "--json").stdout)[-1]
    assert (row["name"], row["status"], row["accuracy"]) == ("fruit-2", "damaged", None)


def test_a_damaged_note_of_the_latest_breaks_nothing(pcn, runs):
    (runs / "latest").write_bytes(b"\xff\xfe")
    rows = json.loads(pcn("runs", "--json").stdout)
    assert [row["latest"] for row in rows] == [False] * 3


def test_the_page_of_runs_has_a_row_for_each_in_every_state(pcn, runs):
    result = pcn("runs", "--report")
    assert (result.returncode, result.stdout) == (0, b"report: runs/runs.html\n")
    page = (runs / "runs.html").read_text(encoding="utf-8")
    assert [page.count(f'data-value="fruit-{number}"') for number in (1, 2, 3)] == [1, 1, 1]
    assert "90.0" in page
    assert [page.count(f">{status}</span>") for status in ("damaged", "stopped", "latest")] == [1, 1, 1]
    assert json.loads(pcn("runs", "--report", "--json").stdout) == {"report": "runs/runs.html"}
    refused = pcn("runs", "--open")
    assert (refused.returncode, b"pcn runs --report --open" in refused.stderr) == (2, True)


def test_runs_with_the_same_test_photos_wherever_they_lie_have_one_letter():
    rows = [SplitRow(file=f"a/{n}", label="a", split="test", sha256=str(n)) for n in range(3)]
    moved = [replace(row, file=f"elsewhere/{row.file}") for row in reversed(rows)]
    train = SplitRow(file="b", label="b", split="train", sha256="9")
    assert fingerprint_test(rows) == fingerprint_test([train, *moved])
    others = (
        rows[:2],
        [*rows, rows[0]],
        [replace(rows[0], label="b"), *rows[1:]],
        [replace(rows[0], sha256="x"), *rows[1:]],
    )
    assert len({fingerprint_test(rows), *map(fingerprint_test, others)}) == 5
    assert fingerprint_test([train]) == ""


def test_clean_only_says_what_would_go(pcn, runs):
    result = pcn("runs", "clean")
    assert result.returncode == 0
    assert b"fruit-2: 1 MB of checkpoints\n" in result.stdout
    assert b"fruit-1" not in result.stdout
    assert b"1 MB could go; add --yes to delete them" in result.stderr
    assert len(list(runs.glob("*/checkpoints/raw.safetensors"))) == 3


def test_clean_deletes_the_checkpoints_of_finished_runs(pcn, runs):
    result = pcn("runs", "clean", "--yes")
    assert result.returncode == 0
    assert b"deleted 1 MB" in result.stderr
    assert sorted(path.parent.name for path in runs.glob("*/checkpoints")) == ["fruit-1", "fruit-3"]
    assert (runs / "fruit-2" / "metrics.json").is_file()


def test_clean_leaves_a_damaged_run_alone_and_says_so(pcn, runs):
    line = next(line for line in pcn("runs", "clean", "--yes").stdout.decode().splitlines() if "fruit-3" in line)
    assert line.startswith("fruit-3: 1 MB of checkpoints, left alone: ")
    assert "run.json is damaged" in line


def test_clean_leaves_a_run_in_use_alone_and_says_so(pcn, runs):
    with hold_folder(runs / "fruit-2"):
        shown = pcn("runs", "clean", "--yes")
        rows = {row["run"]: row for row in json.loads(pcn("runs", "clean", "--yes", "--json").stdout)}
    assert shown.returncode == 0
    assert b"fruit-2: 1 MB of checkpoints, left alone: runs/fruit-2 is in use by process" in shown.stdout
    assert b"deleted 0 MB" in shown.stderr
    assert rows["fruit-2"]["deleted"] is False
    assert "is in use by process" in rows["fruit-2"]["left"]
    assert (runs / "fruit-2" / "checkpoints" / "raw.safetensors").is_file()


def test_two_real_runs_are_compared_in_words_json_and_csv(pcn, photo_folder, tiny_model, tmp_path):
    common = (
        "finetune",
        photo_folder,
        "--model",
        tiny_model,
        "--tune",
        "probe",
        "--size",
        "32",
        "--pooling",
        "per-class",
        "--set",
        "split.test=0.4",
    )
    for name, rate in (("slow", 1e-9), ("fast", 0.01)):
        settings = ("--set", "train.probe_epochs=4", "--set", f"train.probe_lr={rate}", "--output", f"runs/{name}")
        assert pcn(*common, *settings).returncode == 0
    words = ("runs", "compare", "runs/slow", "runs/fast")
    plain = json.loads(pcn(*words, "--json").stdout)
    own = [json.loads((tmp_path / "runs" / name / "metrics.json").read_text()) for name in ("slow", "fast")]
    assert (plain["first"], plain["second"], plain["photos"]) == ("runs/slow", "runs/fast", own[0]["accuracy"]["n"])
    for one in plain["differences"]:
        assert [one["first"], one["second"]] == [pytest.approx(metrics[one["key"]]["value"]) for metrics in own]
    assert (plain["only_first"], plain["only_second"]) == (0, 0)
    assert plain["flips"]

    shown = pcn(*words)
    assert shown.returncode == 0
    text = shown.stdout.decode()
    assert text.splitlines()[-1] == plain["verdict"]
    told = pcn(*words, "--report")
    assert told.stdout.decode().splitlines()[-1] == "report: runs/compare-slow-fast.html"
    page = (tmp_path / "runs" / "compare-slow-fast.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    fixed, broken = plain["second_right"], plain["first_right"]
    assert f"{fixed} picture{'' if fixed == 1 else 's'} fixed, {broken} broken" in page
    shown_photos = [*plain["flips"], *plain["still_wrong"]]
    assert page.count('<div class="twin">') == len(shown_photos)
    assert page.count("data:image/webp;base64,") == 2 * len(shown_photos)
    assert page.count("Fixed by fast") == (fixed > 0)
    wrong = own[1]["accuracy"]["n"] - round(own[1]["accuracy"]["n"] * own[1]["accuracy"]["value"])
    still = [flip for flip in shown_photos if not flip["right"]]
    assert len(still) + broken == wrong  # each photo that B has wrong stands there
    assert f"{broken} broken, {len(still)} still wrong" in page
    assert {flip["first"] == flip["second"] for flip in plain["still_wrong"]} <= {True}
    assert "http" not in page.replace("http-equiv", "").replace("xmlns='http://www.w3.org/2000/svg'", "")
    accuracy = plain["differences"][0]
    assert f"{accuracy['first']:.1%}" in text
    assert f"{100 * accuracy['difference']['value']:+.1f} points" in text
    assert all(flip["file"] in text for flip in plain["flips"][:20])

    header, *rows = pcn(*words, "--csv").stdout.decode().splitlines()
    assert header == "file,label,first,second,right"
    assert [row.split(",")[0] for row in rows] == [flip["file"] for flip in plain["flips"]]

    both = pcn(*words, "--csv", "--json")
    assert both.returncode == 2
    assert b"--json and --csv were both given" in both.stderr


def test_what_cannot_be_compared_ends_with_its_code(pcn, runs):
    result = pcn("runs", "compare", "runs/fruit-1", "runs/fruit-2")
    assert pcn("runs", "compare", "fruit-1", "fruit-2") == result  # by name, as rm and rename find them
    assert (result.returncode, result.stdout) == (8, b"")
    assert b"error: runs/fruit-1 holds no evaluation" in result.stderr
    assert b"try: pcn finetune --resume runs/fruit-1" in result.stderr


@pytest.mark.parametrize(("held", "status"), [(False, "stopped"), (True, "running")])
def test_a_run_that_nobody_holds_is_not_running(pcn, runs, held, status):
    """Seen: after a kill or a closed terminal `pcn runs` said "running" for ever."""
    record = json.loads((runs / "fruit-1" / "run.json").read_text())
    (runs / "fruit-1" / "run.json").write_text(json.dumps({**record, "status": "running"}))
    with hold_folder(runs / "fruit-1") if held else nullcontext():
        rows = {row["name"]: row["status"] for row in json.loads(pcn("runs", "--json").stdout)}
    assert rows["fruit-1"] == status


DYING = """
import os, sys
from pathlib import Path
from pcn_cli.files.folder import hold_folder
with hold_folder(Path(sys.argv[1])):
    os._exit(3) if sys.argv[2] == "0" else os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [0, signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT, signal.SIGHUP])
def test_a_run_whose_process_died_in_any_way_is_stopped(pcn, runs, number):
    record = json.loads((runs / "fruit-1" / "run.json").read_text())
    (runs / "fruit-1" / "run.json").write_text(json.dumps({**record, "status": "running"}))
    died = subprocess.run([sys.executable, "-c", DYING, runs / "fruit-1", str(int(number))], check=False)
    assert died.returncode == (3 if number == 0 else -number)
    rows = {row["name"]: row["status"] for row in json.loads(pcn("runs", "--json").stdout)}
    assert rows["fruit-1"] == "stopped"


@pytest.mark.parametrize("content", [b"x" * 5000, b"\xff\xfe", b"a\0b"], ids=["long", "bytes", "nul"])
@pytest.mark.parametrize("words", [("predict", "a.jpg"), ("report",), ("evaluate",)])
def test_a_damaged_note_of_the_latest_is_no_bug(pcn, runs, tmp_path, content, words):
    (tmp_path / "a.jpg").touch()
    (runs / "latest").write_bytes(content)
    result = pcn(*words)
    assert result.returncode == 8
    assert b"bug" not in result.stderr
    assert b"pcn runs" in result.stderr


def test_a_run_is_only_deleted_when_that_is_meant(pcn, runs):
    told = pcn("runs", "rm", "fruit-2")
    assert told.returncode == 0
    assert b"fruit-2: 1 MB" in told.stdout
    assert b"add --yes" in told.stderr
    assert (runs / "fruit-2" / "run.json").is_file()
    gone = pcn("runs", "rm", "fruit-2", "runs/fruit-1", "--yes", "--json")
    assert [(row["run"], row["deleted"]) for row in json.loads(gone.stdout)] == [("fruit-2", True), ("fruit-1", True)]
    assert sorted(path.name for path in runs.iterdir()) == ["fruit-3"]  # and nothing is the latest any more
    assert pcn("report").returncode == 8


def test_deleting_all_or_nothing(pcn, runs):
    with hold_folder(runs / "fruit-2"):
        result = pcn("runs", "rm", "fruit-1", "fruit-2", "--yes")
    assert result.returncode == 8
    assert b"in use" in result.stderr
    assert (runs / "fruit-1" / "run.json").is_file()
    for name in ("nothing", "..", "latest", "."):
        assert pcn("runs", "rm", name, "--yes").returncode == 8
    assert len(list(runs.glob("*/run.json"))) == 3


def test_after_the_latest_is_deleted_the_newest_finished_run_is(pcn, runs):
    (runs / "fruit-2" / "run.json").rename(runs / "kept.json")
    for name in ("old", "new"):
        (runs / name).mkdir()
        record = json.loads((runs / "kept.json").read_text()) | {"created": f"2025-0{1 + (name == 'new')}-01"}
        (runs / name / "run.json").write_text(json.dumps(record))
        (runs / name / "metrics.json").write_bytes((runs / "fruit-2" / "metrics.json").read_bytes())
    (runs / "kept.json").rename(runs / "fruit-2" / "run.json")
    assert pcn("runs", "rm", "fruit-2", "--yes").returncode == 0
    assert (runs / "latest").read_text().strip() == "new"


def test_a_run_gets_another_name_and_the_latest_follows(pcn, runs):
    result = pcn("runs", "rename", "fruit-2", "best")
    assert (result.returncode, result.stdout) == (0, b"run: runs/best\n")
    assert (runs / "latest").read_text().strip() == "best"
    assert pcn("runs", "rename", "best", "fruit-1").returncode == 8
    refused = pcn("runs", "rename", "best", "../elsewhere")
    assert refused.returncode == 2
    assert b"pcn runs rename best elsewhere" in refused.stderr
    with hold_folder(runs / "best"):
        assert pcn("runs", "rename", "best", "other").returncode == 8
    assert (runs / "best" / "run.json").is_file()


def test_a_run_that_is_a_link_goes_whole_with_what_it_points_to(pcn, runs):
    moved = runs.parent / "large_disk"
    (runs / "fruit-2").rename(moved)
    (runs / "fruit-2").symlink_to(moved)
    assert pcn("runs", "rename", "fruit-2", "best").returncode == 0
    assert pcn("runs", "rm", "best", str(moved), "--yes").returncode == 0
    assert not moved.exists()
    assert not (runs / "best").is_symlink()


def test_a_run_may_be_named_from_within(runs, monkeypatch):
    monkeypatch.chdir(runs / "fruit-2")
    renamed = rename_run(".", "best")
    assert renamed == runs / "best"
    assert [one.name for one in remove_runs(["."], really=True)] == ["best"]
    assert not (runs / "best").exists()


def test_no_run_takes_the_place_of_the_note_of_the_latest(pcn, runs):
    (runs / "latest").unlink()
    assert pcn("runs", "rename", "fruit-2", "latest").returncode == 2
    with pytest.raises(RunError, match="cannot be called latest"):
        refuse_occupied(RunDir(runs / "latest"))


def test_what_another_run_began_with_keeps_its_name_and_is_not_deleted_unsaid(pcn, runs):
    begun = RunDir(runs / "fruit-1")
    recipe = Recipe(model=ModelSection(name=str(runs / "fruit-2" / "model")))
    begun.recipe.write_text(dump_recipe(recipe, {}), encoding="utf-8")
    refused = pcn("runs", "rename", "fruit-2", "best")
    assert refused.returncode == 8
    assert b"fruit-1 began with" in refused.stderr
    assert b"fruit-1 began with it" in pcn("runs", "rm", "fruit-2").stdout
    assert b"began with" not in pcn("runs", "rm", "fruit-2", "fruit-1").stdout

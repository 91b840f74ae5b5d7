"""Runs by several processes: what they come to, and what is left where one of them dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pcn_cli.errors import RankError
from pcn_cli.files.atomic import read_csv
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.training.launch import launch_ranks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `ranked_runs.py` left its runs."""
    folder, rng = tmp_path_factory.mktemp("ends"), np.random.default_rng(0)
    for channel, label in enumerate(("blue", "green", "red")):
        place = folder / "photos" / label
        place.mkdir(parents=True)
        for number in range(9):
            pixels = rng.integers(0, 120, (40, 40, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 30
            Image.fromarray(pixels).save(place / f"{number}.jpg")
    own = {"TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1", "PCN_CACHE": str(folder / "cache")}
    script = Path(__file__).with_name("ranked_runs.py")
    words = [sys.executable, str(script), str(folder / "photos"), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **own}, timeout=400)
    assert done.returncode == 0, done.stderr
    return folder


def told(ends: Path, name: str, rank: int = 0) -> dict[str, object]:
    return json.loads((ends / f"{name}-{rank}.json").read_text())


def codes(ends: Path, name: str) -> list[int]:
    return json.loads((ends / f"{name}-codes.json").read_text())


def tuned(run: Path) -> dict[str, torch.Tensor]:
    newest = run / "checkpoints" / (run / "checkpoints" / "LAST").read_text().strip()
    return {
        f"{kind}.{name}": tensor
        for kind in ("model", "ema", "best")
        for name, tensor in load_file(newest / f"{kind}.safetensors").items()
    }


def assert_close(found: Path, wanted: Path) -> None:
    ours, theirs = tuned(found), tuned(wanted)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_two_give_the_tokens_answers_and_looks_of_one_and_tune_alike(ends):
    assert (codes(ends, "one"), codes(ends, "two")) == ([0], [0, 0])
    # All of these come of tokens and scores that were computed in two halves.
    for name in ("validation.csv", "predictions.csv", "suspects.csv", "neighbours.csv"):
        assert (ends / "one" / name).read_bytes() == (ends / "two" / name).read_bytes(), name
    compared = [json.loads((ends / run / "candidates.json").read_text()) for run in ("one", "two")]
    assert [row["name"] for row in compared[0]] == ["tuned", "probe", "logistic regression"]
    assert compared[0][1:] == compared[1][1:]
    assert_close(ends / "two", ends / "one")


def test_rank_0_alone_speaks_and_the_run_tells_how_many_there_were(ends):
    assert told(ends, "two")["notes"] == told(ends, "one")["notes"] or len(told(ends, "two")["notes"]) > 3
    assert told(ends, "two", 1) == {"run": str(ends / "two"), "notes": []}
    assert [read_record(RunDir(ends / run)).devices for run in ("one", "two")] == [1, 2]


def test_where_one_is_killed_the_other_ends_and_nothing_is_half_written(ends):
    assert codes(ends, "cut") == [6, -9]
    assert "rank 1 (process " in str(told(ends, "cut")["error"])
    assert str(told(ends, "cut")["hint"]).startswith("pcn finetune --resume ")
    assert not [*(ends / "cut").rglob("*.part*"), *(ends / "cut").rglob("pcn-tokens-*")]


def test_one_goes_on_where_two_were_and_says_so(ends):
    assert codes(ends, "on") == [130]  # it was stopped behind the training
    assert "train" in read_record(RunDir(ends / "cut")).stages
    assert "2 devices worked on it before, now 1: rounding may differ" in told(ends, "on")["notes"]
    rows = read_csv(ends / "cut" / "history.csv")
    assert [row["epoch"] for row in rows if row["phase"] == "tune"] == ["1", "2"]
    assert_close(ends / "cut", ends / "one")
    assert read_record(RunDir(ends / "cut")).devices == 1


@pytest.fixture
def kept_signals():
    """The handlers as they were: the launcher puts its own in their place."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("photos --devices 3", 2, "--devices 3: torchrun or its like has started 2 processes"),
        pytest.param("--resume nowhere", 8, "nowhere is not a run folder", marks=pytest.mark.slow),
    ],
)
def test_the_launcher_ends_with_the_code_of_rank_0_which_alone_says_why(
    words, code, error, kept_signals, capfd, monkeypatch, tmp_path
):
    monkeypatch.setattr("sys.argv", ["pcn", "finetune", *words.split()])
    for name in ("TORCH_CPP_LOG_LEVEL", "OMP_NUM_THREADS", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"):
        monkeypatch.setenv(name, "ERROR" if "LOG" in name else "5")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        launch_ranks(2, device="cpu")
    assert caught.value.code == code
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.count("error:") == 1
    assert error in output.err
    assert "Traceback" not in output.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("pcn-devices")] == []


def test_a_killed_rank_gives_its_code_to_the_command(monkeypatch):
    import torch.distributed.run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    def fail(_: object) -> None:
        codes = {0: 6, 1: -9, 2: -15}  # what was ended by the launcher has a code as well
        failures = {
            rank: ProcessFailure(local_rank=rank, pid=rank + 1, exitcode=code, error_file="")
            for rank, code in codes.items()
        }
        raise ChildFailedError("pcn", failures)

    monkeypatch.setattr(torch.distributed.run, "run", fail)
    for name in ("TORCH_CPP_LOG_LEVEL", "OMP_NUM_THREADS", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(RankError, match=r"rank 1 \(process 2\) was killed by SIGKILL") as caught:
        launch_ranks(2, device="cpu")
    assert caught.value.exit_code == 137

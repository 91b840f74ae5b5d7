"""Checkpoints are whole or not there, notice every damage and never lose the one before."""

import errno
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from standin import make_config

from pcn_cli.errors import DivergedError, ResourceError, RunError
from pcn_cli.training.checkpoint import Progress, TrainState, load_checkpoint, save_checkpoint
from pcn_cli.training.random_stream import RandomStream


def make_state(step: int, **tensors: torch.Tensor) -> TrainState:
    progress = Progress(plan=make_config(), versions={"torch": "2"}, total_steps=9, micro_batch=8, step=step)
    values = {"weight": torch.full((3, 2), float(step)), "count": torch.tensor(step), **tensors}
    return TrainState(
        progress=progress,
        random=RandomStream(step, torch.device("cpu")).to_text(),
        model=values,
        ema=values,
        optimizer={"step.weight": torch.tensor(1.0)},
    )


def step_of(folder: Path, warnings: list[str] | None = None) -> int:
    state = load_checkpoint(folder, on_warning=pytest.fail if warnings is None else warnings.append)
    assert state is not None
    assert float(state.model["weight"][0, 0]) == state.progress.step
    return state.progress.step


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    state = replace(make_state(1234), best={"weight": torch.rand(4)})
    assert save_checkpoint(tmp_path, state) == tmp_path / "step-00001234"
    loaded = load_checkpoint(tmp_path, on_warning=pytest.fail)
    assert loaded is not None
    assert (loaded.progress, loaded.random) == (state.progress, state.random)
    for kind in ("model", "ema", "optimizer", "best"):
        mine, theirs = getattr(loaded, kind), getattr(state, kind)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) and mine[name].dtype == theirs[name].dtype for name in mine)


def test_a_checkpoint_is_these_files_and_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, make_state(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LAST", "step-00000002", "step-00000003"]
    assert (tmp_path / "LAST").read_text() == "step-00000003\n"
    files = sorted(p.name for p in (tmp_path / "step-00000003").iterdir())
    assert files == ["MANIFEST.json", "ema.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"]
    manifest = json.loads((tmp_path / "step-00000003" / "MANIFEST.json").read_text())
    assert sorted(manifest["files"]) == files[1:]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_newest_gives_the_one_before_and_one_warning(tmp_path: Path, name: str, damage: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)  # noqa: T201 - to repeat a failure
    save_checkpoint(tmp_path, make_state(1))
    save_checkpoint(tmp_path, make_state(2))
    path = tmp_path / "step-00000002" / name
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        at = random.Random(seed).randrange(len(content) - 1)
        content[at] ^= 1 << random.Random(seed).randrange(8)
        path.write_bytes(content if damage == "flip" else content[:at])
    warnings: list[str] = []
    # A flip in the manifest's layout alone changes nothing; then the newest is still whole.
    whole = damage == "flip" and name == "MANIFEST.json" and step_of(tmp_path, warnings) == 2
    if not whole:
        warnings.clear()
        assert step_of(tmp_path, warnings) == 1
        hidden = name == "MANIFEST.json" and damage == "gone"
        assert len(warnings) == (0 if hidden else 1)
    save_checkpoint(tmp_path, make_state(2))
    assert step_of(tmp_path) == 2


def test_when_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(1))
    (tmp_path / "step-00000001" / "state.json").write_text("{}")
    with pytest.raises(
        RunError, match=r"no checkpoint in .* is whole: step-00000001 is damaged \(state.json: expected"
    ):
        load_checkpoint(tmp_path)


def test_no_tensor_that_is_not_finite_is_ever_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(1))
    with pytest.raises(DivergedError, match=r"bad \(model\) is not finite at step 2"):
        save_checkpoint(tmp_path, make_state(2, bad=torch.tensor([1.0, torch.inf])))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LAST", "step-00000001"]


def test_what_last_names_is_preferred_to_a_future_that_was_given_up(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(5))
    save_checkpoint(tmp_path, make_state(7))
    save_checkpoint(tmp_path, make_state(5))
    assert step_of(tmp_path) == 5
    assert not (tmp_path / "step-00000007").exists()
    (tmp_path / "LAST").write_bytes(b"\xff\xff nonsense")
    assert step_of(tmp_path) == 5


def test_a_full_disk_is_told_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, make_state(1))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 500_000})())
    with pytest.raises(ResourceError, match=r"needs 1 MB and the disk of .* has 0 MB free"):
        save_checkpoint(tmp_path, make_state(2))
    assert step_of(tmp_path) == 1


def test_an_error_at_any_call_to_the_system_leaves_a_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    fail_at = 0
    failure: BaseException = OSError()

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == fail_at:
                raise failure
            return real(*arguments, **options)

        return call

    for owner, name in ((os, "fsync"), (os, "mkdir"), (os, "open"), (Path, "replace"), (Path, "write_bytes")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    save_checkpoint(tmp_path / "count", make_state(1))
    calls = 0
    save_checkpoint(tmp_path / "count", make_state(2))
    total = calls
    assert total > 20
    for number in range(1, total + 1):
        for kind in (OSError(errno.ENOSPC, "No space left"), OSError(errno.EIO, "I/O"), KeyboardInterrupt()):
            folder = tmp_path / f"{number}-{type(kind).__name__}-{getattr(kind, 'errno', 0)}"
            fail_at, failure = 0, kind
            save_checkpoint(folder, make_state(1))
            calls, fail_at = 0, number
            complete = False
            try:
                save_checkpoint(folder, make_state(2))
                complete = True  # only the removal of what is old failed
            except (ResourceError, KeyboardInterrupt):
                pass
            fail_at = 0
            assert step_of(folder) in ((2,) if complete else (1, 2))
            save_checkpoint(folder, make_state(3))
            assert step_of(folder) == 3
            assert not list(folder.glob(".*"))


def test_nothing_is_pickled(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(1))
    kinds = {p.suffix for p in (tmp_path / "step-00000001").iterdir()}
    assert kinds == {".safetensors", ".json"}

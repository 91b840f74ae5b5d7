"""Processes that work together: what they share out and hand on, and that two learn what one learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pcn_cli.errors import PcnError, RankError, RecipeError, ResourceError
from pcn_cli.files.machine import Place
from pcn_cli.training.join import joined_ranks
from pcn_cli.training.launch import check_devices
from pcn_cli.training.ranks import ALONE, Ranks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `forked_ranks.py` left what its fits came to."""
    folder, script = tmp_path_factory.mktemp("ends"), Path(__file__).with_name("forked_ranks.py")
    quiet = {**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False, env=quiet, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(ends: Path, name: str, rank: int = 0) -> dict[str, object]:
    return json.loads((ends / f"{name}-{rank}.json").read_text())


def codes(ends: Path, name: str) -> list[int]:
    return json.loads((ends / f"{name}-codes.json").read_text())


def weights(ends: Path, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
    return torch.load(ends / f"{name}-{rank}.pt")


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert any(name.startswith("best.") for name in wanted)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("world", [2, 3])
def test_several_learn_what_one_learns_from_the_same_batches(ends: Path, world: int) -> None:
    """With pairs that are mixed, classes that weigh differently, a last batch in which one has no photo, an average."""
    assert codes(ends, f"mixed{world}") == [0] * world
    assert_close(weights(ends, f"mixed{world}"), weights(ends, "mixed1"))
    assert read(ends, f"mixed{world}")["losses"] == pytest.approx(read(ends, "mixed1")["losses"], rel=1e-5)


def test_several_learn_from_a_teacher_what_one_does(ends: Path) -> None:
    """Each asks it about its own share of the mixed photos."""
    assert codes(ends, "taught2") == [0, 0]
    assert_close(weights(ends, "taught2"), weights(ends, "taught1"))
    assert any(
        not torch.equal(tensor, weights(ends, "mixed1")[name]) for name, tensor in weights(ends, "taught1").items()
    )


@pytest.mark.parametrize("name", ["mixed2", "taught2", "poisoned", "wild", "norms"])
def test_all_end_with_the_same_bits(ends: Path, name: str) -> None:
    first, second = ({k: v for k, v in weights(ends, name, rank).items() if "best." not in k} for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_where_memory_runs_out_in_one_all_do_the_step_again(ends: Path) -> None:
    for rank in (0, 1):
        found = read(ends, "memory", rank)
        assert found["micro_batch"] == 1
        assert found["notes"] == [f"out of memory: going on with {n} photos at once, 8 per step" for n in (2, 1)]
    assert_close(weights(ends, "memory"), weights(ends, "plain"))


def test_all_skip_a_bad_step_and_rank_0_names_the_photo_of_another(ends: Path) -> None:
    notes = read(ends, "poisoned")["notes"]
    assert len(notes) == 2
    assert all(note.endswith("is skipped: its numbers are not finite, photos 4") for note in notes)


def test_one_process_goes_on_where_two_were_stopped(ends: Path) -> None:
    assert codes(ends, "stopped") == [130, 130]
    assert read(ends, "stopped")["error"] == "stopped after step 2 of 6; the state is saved"
    assert_close(weights(ends, "resumed"), weights(ends, "plain"))


def test_two_go_on_with_the_same_bits_though_each_draws_for_itself(ends: Path) -> None:
    assert codes(ends, "wild-stopped") == [130, 130]
    resumed, whole = weights(ends, "wild-resumed"), weights(ends, "wild")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_an_error_of_rank_0_ends_all_with_its_code(ends: Path) -> None:
    assert codes(ends, "exploded") == [7, 7]


def test_who_was_killed_is_named(ends: Path) -> None:
    assert codes(ends, "killed") == [6, -9]
    error = str(read(ends, "killed")["error"])
    assert error.startswith("rank 1 (process ")
    assert error.endswith("ended without a word: it was killed, or its machine is gone")


def test_what_is_handed_on_arrives_as_it_was(ends: Path) -> None:
    facts = [read(ends, "exchange", rank) for rank in range(3)]
    assert facts[0]["whole"] == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert [one["whole"] for one in facts[1:]] == [None, None]
    for one in facts:
        assert one["sums"] == [3.0, 3.0, [[1.5, 1.5]] * 3, 3.0]
        assert one["told"] == {"é": [1.5, None]}
        assert one["same"]
        assert one["counts"] == [[True, 6], [False, 3]]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("photos", [1, 2, 3, 7, 16, 33])
def test_every_photo_of_a_batch_is_learned_from_once_and_beside_its_partner(photos: int, world: int) -> None:
    shares = [Ranks(Place(rank, world)).share(photos) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(photos))
    assert len(shares[0]) > 0
    assert max(map(len, shares)) - min(map(len, shares)) <= 3
    for share in shares:
        even = len(share) // 2 * 2
        assert (share[:even] + share[:even][::-1] == photos // 2 * 2 - 1).all()


@pytest.mark.parametrize("batches", [0, 1, 5, 16])
def test_blocks_follow_one_another_and_the_first_is_no_shorter(batches: int) -> None:
    blocks = [ALONE.block(batches, rank=0)] + [Ranks(Place(0, 3)).block(batches, rank=rank) for rank in range(3)]
    assert [*blocks[0]] == [number for block in blocks[1:] for number in block]
    assert all(len(blocks[1]) >= len(block) for block in blocks[2:])


def test_who_is_alone_asks_nobody() -> None:
    with joined_ranks() as ranks:
        assert ranks is ALONE
    assert ALONE.count(False, 3) == (False, 3)
    assert ALONE.from_lead("x") == "x"
    tensor = torch.ones(2)
    assert ALONE.tensors_from_lead({"a": tensor})["a"] is tensor
    ALONE.announce("nobody hears it")
    assert ALONE.find_farewell() is None


def test_who_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcn_cli.training.join._ARRIVAL", 0.2)
    for name, value in {"RANK": 0, "WORLD_SIZE": 3, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.raises(ResourceError, match=r"rank 1, rank 2 of 3 did not come within 0 s"), joined_ranks():
        pytest.fail("nobody else is there")


@pytest.mark.parametrize(
    ("count", "device", "kind", "words"),
    [
        (2, None, ResourceError, "2 devices are asked for, and there is no accelerator here"),
        (2, "cpu:0", RecipeError, "--device cpu:0 names one device, and --devices asks for 2"),
        (2, "cuda", ResourceError, "the device cuda is not here"),
    ],
)
def test_devices_that_are_not_here_are_refused(
    count: int, device: str | None, kind: type[PcnError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(kind, match=words) as caught:
        check_devices(count, device=device)
    assert caught.value.hint


def test_more_devices_than_there_are_and_windows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_devices(2, device=None)
    with pytest.raises(ResourceError, match=r"3 devices are asked for, found: 2 \(cuda\)") as caught:
        check_devices(3, device="cuda")
    assert caught.value.hint == "--devices 2"
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ResourceError, match="Windows") as caught:
        check_devices(2, device="cpu")
    assert "WSL2" in caught.value.hint


def test_the_code_of_a_lost_rank_is_that_of_all() -> None:
    assert RankError("rank 1: gone", exit_code=137).exit_code == 137
    assert RankError("rank 1: gone").exit_code == ResourceError.exit_code

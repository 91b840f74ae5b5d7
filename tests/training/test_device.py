"""Devices are chosen by what is here; what a network costs on one is measured, not guessed."""

import errno

import pytest
import torch
from torch import Tensor, nn

from pcn_cli.errors import ResourceError
from pcn_cli.training.device import (
    choose_device,
    explain_memory,
    has_native_bf16,
    is_out_of_memory,
    measure_cost,
    memory_mb,
)


def test_the_cpu_is_always_here() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(None).type in ("cuda", "mps", "cpu")
    assert isinstance(has_native_bf16(torch.device("cpu")), bool)
    assert memory_mb(torch.device("cpu")) > 10


def test_an_absent_or_unknown_device_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ResourceError, match="no kind of device called 'toaster'"):
        choose_device("toaster")
    with pytest.raises(ResourceError, match=r"the device cuda:99 is not here; found: .*cpu"):
        choose_device("cuda:99")
    with pytest.raises(ResourceError, match="is not here"):
        choose_device("meta")


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    for said in (
        "could not create a primitive",
        "can't start new thread",
        "std::bad_alloc",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 9 GB)",
        "unable to mmap 9 bytes from file </x>: Cannot allocate memory (12)",
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: not enough memory",
        "could not create a memory object",
    ):
        assert is_out_of_memory(RuntimeError(said)), said
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), OSError(errno.ENOMEM, "no memory")]
)
def test_running_out_of_memory_is_explained(error: BaseException) -> None:
    found = pytest.raises(ResourceError, match="the memory ran out while tokens were computed")
    with found as caught, explain_memory("tokens were computed"):
        raise error
    assert caught.value.hint == "--set evaluate.batch_size=8"
    assert caught.value.__cause__ is error


def test_other_errors_stay_what_they_are() -> None:
    for error in (RuntimeError("shapes cannot be multiplied"), KeyError("x")):
        with pytest.raises(type(error)), explain_memory("nothing"):
            raise error


class Small(nn.Module):
    """Three layers as a trunk, an average and a linear layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 2)

    def forward_features(self, images: Tensor) -> Tensor:
        return self.trunk(images)

    def forward_head(self, tokens: Tensor) -> Tensor:
        return self.head(tokens.mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


def test_activations_are_counted_once_and_parameters_not():
    cost = measure_cost(Small(), size=32, device=torch.device("cpu"))
    picture, feature, pooled = 3 * 32 * 32 * 4, 8 * 32 * 32 * 4, 8 * 4
    assert cost.activation_mb * 1e6 == picture + feature + pooled
    assert cost.forward_seconds > 0
    assert cost.head_seconds > 0


def test_a_network_too_large_to_measure_is_a_matter_of_memory():
    class Large(Small):
        def forward_features(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ResourceError, match="while the cost of the network was measured"):
        measure_cost(Large(), size=32, device=torch.device("cpu"))


def test_a_process_without_a_card_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    places = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "MASTER_ADDR": "here", "MASTER_PORT": 1}
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    for name in (None, "cuda"):
        with pytest.raises(ResourceError, match="process 1 of this machine has no card of its own: found 1"):
            choose_device(name)
    assert choose_device("cpu").type == "cpu"


def test_processes_that_work_together_do_not_share_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_device("cuda:1").index == 1
    places = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "MASTER_ADDR": "here", "MASTER_PORT": 1}
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ResourceError, match="the device cuda:0 is one card, and 2 processes work together") as caught:
        choose_device("cuda:0")
    assert caught.value.hint == "with --device cuda each has its own"
    assert choose_device("cuda").index is None  # the one that was made its current card

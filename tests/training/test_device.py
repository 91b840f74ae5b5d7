"""Devices are chosen by what is here."""

import pytest
import torch

from pcn_cli.errors import ResourceError
from pcn_cli.training.device import (
    choose_device,
    explain_memory,
    has_native_bf16,
    is_out_of_memory,
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
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
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

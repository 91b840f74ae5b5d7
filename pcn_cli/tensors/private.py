"""The one place that uses what torch and timm keep to themselves; tried with torch 2.14.1 and timm 1.0.31.

When a new version breaks something here, this file is what has to change. timm is imported by what needs it: that
takes longer than many an answer.
"""

import platform
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _remove_worker_pids

_COMPILER = "torch._dynamo"


def import_timm() -> ModuleType:
    """timm, imported without torch's compiler: two of its parts name that, and it takes as long as all the rest.

    The compiler comes when it is asked for, as by torch.compile.
    """
    if _COMPILER in sys.modules or "timm" in sys.modules:
        return import_module("timm")
    compiler, utils = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    compiler.disable = _leave_uncompiled  # type: ignore[attr-defined]  # of timm's NaFlexVit
    utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]  # of torchvision's roi_align
    sys.modules |= {one.__name__: one for one in (compiler, utils)}
    try:
        return import_module("timm")
    except (ImportError, AttributeError):  # another version names more of it
        for one in (compiler, utils):
            sys.modules.pop(one.__name__, None)
        return import_module("timm")
    finally:
        for one in (compiler, utils):
            if sys.modules.get(one.__name__) is one:
                del sys.modules[one.__name__]


def _leave_uncompiled(function: Callable[..., Any], *_: object, **__: object) -> Callable[..., Any]:
    """The function with the mark by which torch's compiler leaves it as it is, if it ever comes."""
    function._torchdynamo_disable = True  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def _is_compile_supported(device: Any) -> Any:  # noqa: ANN401 - torch's
    return import_module(f"{_COMPILER}.utils").is_compile_supported(device)


def feature_take_indices(count: int, indices: int | list[int] | None) -> tuple[list[int], int]:
    """Which of `count` features are meant by timm's `indices`, and the last of them."""
    from timm.models._features import feature_take_indices as take

    taken: tuple[list[int], int] = take(count, indices)
    return taken


def group_with_matcher(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - timm's
    """The groups of parameters that timm's patterns make."""
    from timm.models._manipulate import group_with_matcher as group

    return group(*arguments, **options)


def allow_compiled_variants(count: int) -> None:
    """Let torch.compile keep at least `count` variants of one function before it gives up compiling it."""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, count)  # noqa: SLF001


def running_iterator(loader: Any) -> Any:  # noqa: ANN401 - a private class of torch
    """The iterator whose workers a DataLoader keeps between epochs, or None."""
    return getattr(loader, "_iterator", None)


def end_workers(iterator: Any) -> None:  # noqa: ANN401 - a private class of torch
    """Kill the workers of a DataLoader's iterator where one of them is dead already; otherwise torch ends them well.

    A killed worker may have died holding a lock that torch's own shutdown then waits for without a limit.
    """
    if any(not worker.is_alive() for worker in iterator._workers):  # noqa: SLF001
        iterator._shutdown = True  # noqa: SLF001
        _remove_worker_pids(id(iterator))
        if iterator._pin_memory:  # noqa: SLF001 - the thread that pins would wait for batches for ever
            iterator._pin_memory_thread_done_event.set()  # noqa: SLF001
        for worker in iterator._workers:  # noqa: SLF001
            worker.kill()


def can_pack(dtype: torch.dtype) -> bool:
    """Whether `PackedConv2d` works here in `dtype`: oneDNN on an x86 processor, in a torch that has these operators."""
    known = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
    if not (known and torch._C._has_mkldnn and platform.machine() in ("x86_64", "AMD64")):  # noqa: SLF001
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


class PackedConv2d:
    """A convolution of oneDNN's in `dtype`, as inductor calls it: weights packed, GELU or a sum in the same pass.

    It keeps a copy of the weights and learns nothing. Images are channels-last.
    """

    _SHAPE = (8, 14, 14)  # photos and grid that the weights are packed for; others work as well

    def __init__(self, convolution: nn.Conv2d, dtype: torch.dtype, *, gelu: bool = False) -> None:
        photos, height, width = self._SHAPE
        settings = (convolution.padding, convolution.stride, convolution.dilation)
        self._settings = (*(list(one) for one in settings), convolution.groups)
        self._bias = None if convolution.bias is None else convolution.bias.detach().to(dtype)
        self._gelu: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
            convolution.weight.detach().to(dtype), *self._settings, [photos, convolution.in_channels, height, width]
        )

    def __call__(self, images: Tensor) -> Tensor:
        """What comes out, GELU of it where that was asked for."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            images, self._weight, self._bias, *self._settings, *self._gelu
        )
        return result

    def add_to(self, total: Tensor, images: Tensor) -> Tensor:
        """`total`, to which what comes out was added in its place."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            total, images, self._weight, self._bias, *self._settings, "add", 1.0, None, [], None
        )
        return result

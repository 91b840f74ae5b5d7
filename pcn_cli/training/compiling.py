"""Compiling a network's trunk: each of its parts on its own, since like parts then share one compilation."""

import os
import shutil
from typing import cast

import torch
from torch import nn

from pcn_cli.errors import ResourceError
from pcn_cli.tensors.network import Network
from pcn_cli.tensors.private import allow_compiled_variants


def compile_trunk(model: nn.Module, device: torch.device) -> None:
    """Let the trunk's parts be compiled when they first run; batches of any size share what is compiled.

    Raises:
        ResourceError: the processor's code needs a C++ compiler, and there is none.
    """
    compilers = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
    if device.type == "cpu" and not any(name and shutil.which(name) for name in compilers):
        raise ResourceError(
            "train.compile needs a C++ compiler, and there is none", "install g++, or leave train.compile out"
        )
    for part in cast("Network", model).compilable():
        part.compile(dynamic=True)
    # The blocks are one function with other weights; torch's limit counts each set of weights as a variant of it.
    allow_compiled_variants(256)

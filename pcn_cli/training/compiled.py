"""Compiling a trunk: torch.compile for each of its parts, and what that needs of the machine."""

import os
import shutil
from typing import cast

import torch
from torch import nn

from pcn_cli.errors import ResourceError
from pcn_cli.tensors.network import Network
from pcn_cli.tensors.private import allow_compiled_variants


def compile_trunk(model: nn.Module, device: torch.device) -> None:
    """Let each part of the trunk be compiled on its own when it first runs: like parts share one compilation.

    Raises:
        ResourceError: the processor's code needs a C++ compiler, and there is none.
    """
    compilers = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
    if device.type == "cpu" and not any(name and shutil.which(name) for name in compilers):
        raise ResourceError(
            "train.compile needs a C++ compiler, and there is none", "install g++, or leave train.compile out"
        )
    for part in cast("Network", model).compilable():
        # A card's code is for one shape; a ragged last batch costs another compilation, once.
        part.compile(dynamic=device.type == "cpu")
    # The blocks are one function with other weights; torch's limit counts each set of weights as a variant of it.
    allow_compiled_variants(256)

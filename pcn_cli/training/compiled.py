"""Compiling a trunk: torch.compile for each of its parts, and what that needs of the machine."""

import os
import shutil
import sys
from typing import cast

import torch
from torch import nn

from pcn_cli.errors import ResourceError
from pcn_cli.tensors.network import Network
from pcn_cli.tensors.private import allow_compiled_variants

# What makes code for a device: the language, the variable that names a compiler, and those that are looked for.
_COMPILERS = {"cpu": ("C++", "CXX", "g++", "clang++", "cl"), "cuda": ("C", "CC", "gcc", "clang")}


def compile_trunk(model: nn.Module, device: torch.device) -> None:
    """Let each part of the trunk be compiled on its own when it first runs: like parts share one compilation.

    Raises:
        ResourceError: the device's code needs a compiler, and there is none.
    """
    brought = device.type == "cuda" and sys.platform == "win32"  # Triton for Windows has its own
    if device.type in _COMPILERS and not brought:
        language, variable, *names = _COMPILERS[device.type]
        if not any(name and shutil.which(name) for name in (os.environ.get(variable, ""), *names)):
            raise ResourceError(
                f"train.compile needs a {language} compiler, and there is none",
                f"install {names[0]}, or leave train.compile out",
            )
    for part in cast("Network", model).compilable():
        # A card's code is for one shape; a ragged last batch costs another compilation, once.
        part.compile(dynamic=device.type == "cpu")
    # The blocks are one function with other weights; torch's limit counts each set of weights as a variant of it.
    allow_compiled_variants(256)

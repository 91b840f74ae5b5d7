"""The command line as a person uses it, and a tiny network in the published layout."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file

from pcn_cli.cli.app import main
from pcn_cli.cli.console import console, out
from pcn_cli.models.published import PatchConvNetSpec


class Result(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def pcn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Result]:
    """pcn(*words, stdin=b"", width=200, **environment): what `pcn words` does in `tmp_path`, in this process."""

    def run(*words: str | Path, stdin: bytes = b"", width: int = 200, **environment: str) -> Result:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name in ("PCN_OFFLINE", "PCN_MIRROR"):
                patch.delenv(name, raising=False)
            for name, value in {"PCN_CACHE": str(tmp_path / "cache"), **environment}.items():
                patch.setenv(name, value)
            for screen in (out, console):
                patch.setattr(screen, "_width", width)
            patch.setattr(sys, "argv", ["pcn", *map(os.fspath, words)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            capsysbinary.readouterr()
            with pytest.raises(SystemExit) as left:
                main()
        return Result(int(left.value.code or 0), *capsysbinary.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file in the published layout: embed_dim 32, depth 2, 10 classes."""
    generator = torch.Generator().manual_seed(0)
    shapes = PatchConvNetSpec(embed_dim=32, depth=2, num_classes=10, class_tokens=False).shapes()
    tensors = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_file(tensors, path)
    return path

"""The one function a `.pth` enters through. A pickle can run code; this one is only ever read as data.

The layouts are those that facebookresearch/deit and timm write: {"model": …}, {"state_dict": …}, {"model_ema": …}, each
with or without "module." before every name, or the tensors themselves.
"""

import argparse
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcn_cli.errors import ModelError

LAYOUTS = ("model", "state_dict", "model_ema")
_PICKLE_BYTES = 16 * 2**20
_MEMBERS = 50_000


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` by their published names: float32, dense, finite.

    Raises:
        ModelError: it is no PyTorch zip archive, is damaged, holds more than data, or its tensors are not as said.
    """
    stored = _check_archive(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # Hostile bytes can raise anything; all of it means "refused".
        said = str(error).strip().splitlines()
        raise ModelError(f"{path.name} is refused: {said[0] if said else type(error).__name__}") from error
    tensors = find_tensors(content, path.name)
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or not _is_dense(tensor):
            raise ModelError(f"{path.name} is refused: {name} is not stored densely")
        if tensor.dtype != torch.float32:
            found = str(tensor.dtype).removeprefix("torch.")
            raise ModelError(f"{path.name} is refused: {name} is {found}, expected float32")
    if (total := sum(tensor.nbytes for tensor in tensors.values())) > stored:
        raise ModelError(f"{path.name} is refused: its tensors add up to {total:,} bytes, the file stores {stored:,}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{path.name} is refused: {name} has numbers that are not finite")
    return tensors


def _check_archive(path: Path) -> int:
    """Bytes stored in the archive, once its members are known to be uncompressed, apart and undamaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path)
            # torch.load does not look at the checksums that torch.save has written.
            if damaged := archive.testzip():
                raise ModelError(f"{path.name} is damaged: the checksum of {damaged} is wrong")
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path.name} is no PyTorch weight file: {error}") from error
    return sum(member.file_size for member in members)


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    names = [member.filename for member in members]
    end, problem = 0, ""
    if len(names) > _MEMBERS or len(set(names)) != len(names):
        problem = f"it has {len(names)} members, some of the same name or too many"
    for member in sorted(members, key=lambda member: member.header_offset):
        stored = member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
        if not stored or member.flag_bits & 1:
            problem = f"{member.filename} is compressed or encrypted"
        elif member.header_offset < end:
            problem = f"{member.filename} overlaps another member"
        elif member.filename.endswith(".pkl") and member.file_size > _PICKLE_BYTES:
            problem = f"{member.filename} is too large"
        end = member.header_offset + 30 + member.compress_size
    if end > path.stat().st_size:
        problem = f"its members end at byte {end:,} of {path.stat().st_size:,}"
    if sum(name.endswith("/data.pkl") for name in names) != 1:
        problem = "it has no data.pkl"
    if problem:
        raise ModelError(f"{path.name} is no PyTorch weight file: {problem}")


def find_tensors(content: Any, where: str) -> dict[str, Tensor]:  # noqa: ANN401 - whatever the file holds
    """The tensors by name in any of the layouts, without "module." before every name; refused where it holds none."""
    found, candidates = type(content).__name__, []
    if isinstance(content, Mapping):
        found = f"a dictionary of {', '.join(sorted(map(repr, content))[:5]) or 'nothing'}"
        candidates = [*(content.get(layout) for layout in LAYOUTS), content]
    for tensors in candidates:
        if not isinstance(tensors, Mapping) or not tensors:
            continue
        if all(isinstance(name, str) and isinstance(one, Tensor) for name, one in tensors.items()):
            wrapped = all(name.startswith("module.") for name in tensors)
            return {name.removeprefix("module.") if wrapped else name: one.detach() for name, one in tensors.items()}
    raise ModelError(f"{where} holds {found}; expected tensors by name, or one of {', '.join(LAYOUTS)} with them")


def _is_dense(tensor: Tensor) -> bool:
    """Whether every number has a place of its own and no place is left over, in any order of the axes."""
    expected = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True

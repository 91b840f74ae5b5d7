"""A `.pth` made into safetensors by a process of its own: `python -m pcn_cli.tensors.pth FILE TARGET`.

A pickle can run code, and a few hundred bytes of one can ask for any memory. It is only ever read as data, here, where
what it takes is bounded and nothing else is lost. `models/unpickle.py` starts this process and tells what it says.

The layouts are those that facebookresearch/deit and timm write: {"model": …}, {"state_dict": …}, {"model_ema": …}, each
with or without "module." before every name, or the tensors themselves.
"""

import argparse
import json
import pickletools
import re
import sys
import warnings
import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcn_cli.errors import ModelError, PcnError, shown
from pcn_cli.files.machine import limit_process

# torch is imported behind the check of the archive: that takes longer than most refusals.
if TYPE_CHECKING:
    from torch import Tensor

LAYOUTS = ("model", "state_dict", "model_ema")
# The largest network with its optimizer has a third of each.
_PICKLE_BYTES = 3 * 2**20
_MEMBERS, _NAME_BYTES = 15_000, 3 * 2**20  # of all names together
_OWN_NAMES = re.compile(  # of what weights are made of
    r"collections\.OrderedDict|argparse\.Namespace|_codecs\.encode|torch\.nn\.parameter\.Parameter"
    r"|torch\.(\w+Storage|Size|device|b?float\d+|u?int\d+|_utils\._rebuild_\w+|storage\.\w+)"
)
_SPARE = 256 * 2**20  # bytes beside the tensors
_LIBRARY = 8 * 2**30  # bytes that importing torch may reserve; it uses few of them
_STEPS = 1_000_000  # of a pickle; one of 4,500 tensors has 270,000
_SECONDS, _BYTES_PER_SECOND = 3, 50_000_000  # of computing, and of the file


def main() -> None:
    """Convert the file, or print why not as JSON and exit with 1."""
    path, target = (Path(word) for word in sys.argv[1:3])
    try:
        longer = path.stat().st_size // _BYTES_PER_SECOND
        limit_process(memory=_SPARE, seconds=_SECONDS + longer)
        stored = check_archive(path)
        limit_process(memory=_LIBRARY, seconds=2 * _SECONDS)
        import torch  # noqa: F401

        # Beside the file, which is mapped, the tensors may be in memory in another order, and as bytes to write.
        limit_process(memory=4 * stored + _SPARE, seconds=_SECONDS + longer)
        write_tensors(read_tensors(path, stored=stored), target)
    except PcnError as error:
        sys.stdout.write(json.dumps({"kind": type(error).__name__, "message": error.message, "hint": error.hint}))
        sys.exit(1)


def convert_pth(path: Path, target: Path) -> None:
    """Put the tensors of a `.pth` at `target` as safetensors by their published names: float32, dense, finite.

    Raises:
        ModelError: it is no PyTorch zip archive, is damaged, holds more than data, or its tensors are not as said.
        ResourceError: `target` cannot be written.
    """
    write_tensors(read_tensors(path, stored=check_archive(path)), target)


def check_archive(path: Path) -> int:
    """Bytes stored in the archive, once its members are known to be uncompressed, apart and undamaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path)
            # torch.load does not look at the checksums that torch.save has written.
            if damaged := archive.testzip():
                raise ModelError(f"{path.name} is damaged: the checksum of {damaged} is wrong")
            pickled = next(member for member in members if member.filename.endswith("/data.pkl"))
            _check_steps(archive.read(pickled), path)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path.name} is no PyTorch weight file: {error}") from error
    except MemoryError as error:
        raise ModelError(f"{path.name} is no PyTorch weight file: its directory is too large") from error
    return sum(member.file_size for member in members)


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    names = [member.filename for member in members]
    end, problem = 0, ""
    if len(names) > _MEMBERS or len(set(names)) != len(names):
        problem = f"it has {len(names)} members, some of the same name or too many"
    if sum(map(len, names)) > _NAME_BYTES:
        problem = "the names of its members are too long"
    for member in sorted(members, key=lambda member: member.header_offset):
        stored = member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
        if not stored or member.flag_bits & 1:
            problem = f"{member.filename[:100]} is compressed or encrypted"
        elif member.header_offset < end:
            problem = f"{member.filename[:100]} overlaps another member"
        elif member.filename.endswith(".pkl") and member.file_size > _PICKLE_BYTES:
            problem = f"{member.filename[:100]} is too large"
        end = member.header_offset + 30 + member.compress_size
    if end > path.stat().st_size:
        problem = f"its members end at byte {end:,} of {path.stat().st_size:,}"
    if sum(name.endswith("/data.pkl") for name in names) != 1:
        problem = "it has no data.pkl"
    if problem:
        raise ModelError(f"{path.name} is no PyTorch weight file: {problem}")


def _check_steps(pickled: bytes, path: Path) -> None:
    """Refuse a pickle of more steps than the largest weights have: each takes time, and may take memory."""
    try:
        steps = sum(1 for _ in islice(pickletools.genops(pickled), _STEPS + 1))
    except ValueError:
        return  # who reads it says what is wrong
    if steps > _STEPS:
        raise ModelError(f"{path.name} is refused: its data.pkl has more than {_STEPS:,} steps")


def read_tensors(path: Path, *, stored: int) -> "dict[str, Tensor]":
    """The tensors of an archive of `stored` bytes, mapped; refused as `convert_pth` refuses."""
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # Hostile bytes can raise anything; all of it means "refused". What torch says of it ends in the advice to load
        # the file all the same, so it is not repeated.
        raise ModelError(f"{path.name} is refused: {_tell_refusal(path, error)}") from error
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


def _tell_refusal(path: Path, error: Exception) -> str:
    """Why a pickle was not read: what it would call, where that is what is wrong."""
    if isinstance(error, MemoryError) or "alloc" in str(error):
        return "it asks for more memory than it stores"
    if called := _foreign_names(path):
        more = f" and {len(called) - 3} more" if len(called) > 3 else ""
        return f"it wants to call {', '.join(called[:3])}{more}; weights are data and call nothing"
    return f"its data.pkl does not read as tensors and plain values ({type(error).__name__})"


def _foreign_names(path: Path) -> list[str]:
    """The functions and classes that the pickle names and weights do not need; found without calling any."""
    names: list[str] = []
    texts, memo = ["", ""], dict[object, str]()
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            for operation, argument, _ in pickletools.genops(archive.read(member)):
                if operation.name in ("GLOBAL", "INST"):
                    names.append(str(argument).replace(" ", ".", 1))
                elif operation.name == "STACK_GLOBAL":
                    names.append(".".join(texts[-2:]))
                elif operation.name == "MEMOIZE" or "PUT" in operation.name:
                    memo[len(memo) if argument is None else argument] = texts[-1]
                else:
                    texts.append(memo.get(argument, "") if "GET" in operation.name else str(argument))
    except (ValueError, zipfile.BadZipFile, OSError):
        pass  # what stood before the damage tells enough
    return [name[:100] for name in dict.fromkeys(names) if not _OWN_NAMES.fullmatch(name)]


def find_tensors(content: Any, where: str) -> "dict[str, Tensor]":  # noqa: ANN401 - whatever the file holds
    """The tensors by name in any of the layouts, without "module." before every name; refused where it holds none."""
    from torch import Tensor

    found, candidates = type(content).__name__, []
    if isinstance(content, Mapping):
        found = f"a dictionary of {', '.join(sorted(map(shown, content))[:5]) or 'nothing'}"
        candidates = [*(content.get(layout) for layout in LAYOUTS), content]
    for tensors in candidates:
        if not isinstance(tensors, Mapping) or not tensors:
            continue
        if all(isinstance(name, str) and isinstance(one, Tensor) for name, one in tensors.items()):
            wrapped = all(name.startswith("module.") for name in tensors)
            return {name.removeprefix("module.") if wrapped else name: one.detach() for name, one in tensors.items()}
    raise ModelError(f"{where} holds {found}; expected tensors by name, or one of {', '.join(LAYOUTS)} with them")


def _is_dense(tensor: "Tensor") -> bool:
    """Whether every number has a place of its own and no place is left over, in any order of the axes."""
    expected = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True


def write_tensors(tensors: "Mapping[str, Tensor]", target: Path) -> None:
    """Put them at `target` as safetensors; a ResourceError where that is not to be written."""
    from pcn_cli.tensors.store import save_tensors

    save_tensors(target, {name: tensor.contiguous() for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()

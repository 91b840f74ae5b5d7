"""The one function a `.pth` enters through: a process of its own reads it, with bounds, and runs nothing of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file
from torch import Tensor

from pcn_cli.errors import ModelError, ResourceError

_SECONDS, _BYTES_PER_SECOND = 60, 5_000_000  # that it may take by the clock, on a machine that has much to do


def read_pth(path: Path, *, scratch: Path | None = None) -> dict[str, Tensor]:
    """The tensors of a `.pth` by their published names: float32, dense, finite.

    Raises:
        ModelError: it is no PyTorch zip archive, is damaged, holds more than data, asks for more memory or time than
            weights need, or its tensors are not as said.
        ResourceError: there is no room for a copy in the folder `scratch`, or in that for temporary files.
    """
    with TemporaryDirectory(prefix="pcn-pth-", dir=scratch, ignore_cleanup_errors=True) as folder:
        target = Path(folder) / "tensors.safetensors"
        convert_apart(path, target)
        tensors: dict[str, Tensor] = load_file(target)
        return tensors


def convert_apart(path: Path, target: Path) -> None:
    """What `tensors.pth.convert_pth` does, in a process with limits; refused as `read_pth` refuses."""
    # The present folder is no place for modules: what lies beside downloaded weights is as foreign as they are.
    places = os.pathsep.join(place for place in sys.path if place)
    seconds = _SECONDS + path.stat().st_size // _BYTES_PER_SECOND
    too_much = (
        f"{path.name} is refused: reading it takes more memory or time than its {path.stat().st_size:,} bytes need"
    )
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "pcn_cli.tensors.pth", path.resolve(), target],
            env=os.environ | {"PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            start_new_session=True,  # Ctrl-C is for us, who end it
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(too_much) from error
    if done.returncode == 0:
        return
    try:
        said = json.loads(done.stdout)
        kind = {"ModelError": ModelError, "ResourceError": ResourceError}[said["kind"]]
        problem = kind(said["message"], said["hint"])
    except (ValueError, KeyError, TypeError):  # it was ended before it could say anything
        raise ModelError(too_much) from None
    raise problem

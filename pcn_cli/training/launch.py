"""torch's launcher: this very command in several processes of one machine, each with a device of its own."""

import logging
import os
import signal
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from pcn_cli.errors import RankError, RecipeError, ResourceError
from pcn_cli.files.machine import available_cores
from pcn_cli.training.device import choose_device

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # are handed on to the processes
_LAST_SECONDS = 120  # for these to save their work before they are killed


def launch_ranks(count: int, *, device: str | None) -> None:
    """Run the words of this command line in `count` processes, to their end.

    Raises:
        ResourceError: this machine has not so many devices. RecipeError: `device` names one of them.
        RankError: a process was killed; its exit code is the shell's for that.
        SystemExit: a process ended otherwise, with its exit code; it has said why.
    """
    check_devices(count, device=device)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # connections that end are spoken of by us
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_LAST_SECONDS))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // count)))
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    with TemporaryDirectory(prefix="pcn-devices-") as logs:
        words = ["--standalone", f"--nproc-per-node={count}", f"--log-dir={logs}", "-m", "pcn_cli", *sys.argv[1:]]
        settings = parse_args(words)  # type: ignore[no-untyped-call]
        settings.signals_to_handle = _SIGNALS  # as a flag only newer versions of torch know it
        logging.disable()  # what it says of processes that end is said here
        try:
            run(settings)  # type: ignore[no-untyped-call]
        except SignalException as error:
            raise SystemExit(128 + int(error.sigval)) from error
        except ChildFailedError as error:
            rank, first = _find_first(error.failures)
            if first.exitcode >= 0:
                raise SystemExit(first.exitcode) from error
            name = signal.Signals(-first.exitcode).name
            message = f"rank {rank} (process {first.pid}) was killed by {name}; the others were ended"
            hint = "the run goes on with the same command and --resume auto"
            raise RankError(message, hint, exit_code=128 - first.exitcode) from error
        finally:
            logging.disable(logging.NOTSET)


def _find_first(failures: "dict[int, ProcessFailure]") -> "tuple[int, ProcessFailure]":
    """The process whose end ended the others: one that was killed rather than one that missed it.

    The launcher itself ends the others by SIGTERM.
    """
    ended = -signal.SIGTERM
    return min(failures.items(), key=lambda one: (one[1].exitcode == ended, one[1].exitcode >= 0, one[1].timestamp))


def check_devices(count: int, *, device: str | None) -> None:
    """Refuse to start `count` processes where they cannot have a device each; errors as of `launch_ranks`."""
    if sys.platform == "win32":
        raise ResourceError(
            "several devices need NCCL, which Windows has not", "run pcn in WSL2, or leave --devices out"
        )
    if device is not None and ":" in device:
        kind = device.partition(":")[0]
        raise RecipeError(
            f"--device {device} names one device, and --devices asks for {count}", f"--device {kind} --devices {count}"
        )
    chosen = choose_device(device)
    if chosen.type == "cpu" and device is None:
        raise ResourceError(
            f"{count} devices are asked for, and there is no accelerator here",
            f"--device cpu --devices {count} shares the cores, or leave --devices out",
        )
    here = torch.cuda.device_count() if chosen.type == "cuda" else 1
    if chosen.type != "cpu" and count > here:
        fewer = f"--devices {here}" if here > 1 else "leave --devices out"
        raise ResourceError(f"{count} devices are asked for, found: {here} ({chosen.type})", fewer)

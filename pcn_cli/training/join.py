"""How processes that were started together find one another, and how each of them leaves."""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist

from pcn_cli.errors import PcnError, ResourceError, StoppedError
from pcn_cli.files.machine import Place, read_place
from pcn_cli.training.ranks import ALONE, BEAT, POLL, Ranks, Table

_ARRIVAL = 600.0  # seconds until all have to be there
_WAIT = timedelta(minutes=30)  # for what the others have to say within a job
_current = ALONE


def current_ranks() -> Ranks:
    """The processes that this one works with, inside of `joined_ranks`."""
    return _current


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The processes that were started together with this one, while the block runs; ALONE where there are none.

    Where the block ends by an error, the others are told why; in others than rank 0 it then ends the process with the
    exit code of the error, in silence, as rank 0 says what there is to say.

    Raises:
        ResourceError: the environment is contradictory, or not all came within ten minutes.
    """
    global _current
    place = read_place()
    if place.world == 1:
        yield ALONE
        return
    if torch.cuda.is_available() and place.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(place.local_rank)
    store = _open_store(place)
    _current, ended = Ranks(place, store), threading.Event()
    beating = threading.Thread(target=_current.beat, args=(store.clone(), ended), daemon=True)
    beating.start()
    try:
        with _current._naming_lost():  # noqa: SLF001 - its own file
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
            dist.init_process_group(
                backend,
                store=dist.PrefixStore("pcn/group", store),  # type: ignore[attr-defined]
                rank=place.rank,
                world_size=place.world,
                timeout=_WAIT,
            )
        yield _current
        if _current.leads:
            _current.announce(None)
        _current.count(True, 0)  # nobody closes connections that others still wait on
        dist.destroy_process_group()
    except BaseException as error:
        _current.say_farewell(error)
        if not place.rank:
            if not _is_kept_elsewhere():
                time.sleep(2 * BEAT)  # until the others have heard it: the store ends with this process
            stopped = isinstance(error, StoppedError)  # by the launcher, perhaps, once another process had ended
            if stopped and (farewell := _current.find_farewell()):
                farewell.hint = farewell.hint or cast("StoppedError", error).hint
                raise farewell from error
            raise
        if isinstance(error, (PcnError, StoppedError)):
            raise SystemExit(error.exit_code) from error
        raise
    finally:
        ended.set()
        beating.join()
        _current = ALONE


def _open_store(place: Place) -> Table:
    """The table that all processes read and write, once all of them are there."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            host,
            port,
            world_size=place.world,
            is_master=place.rank == 0 and not _is_kept_elsewhere(),
            timeout=timedelta(seconds=_ARRIVAL),
            wait_for_workers=False,
        )
        store.set(f"pcn/beat/{place.rank}", "0")
        store.set(f"pcn/here/{place.rank}", f"process {os.getpid()} on {platform.node()}")
        began, missing = time.monotonic(), list(range(place.world))
        while missing := [rank for rank in missing if not store.check([f"pcn/here/{rank}"])]:
            if time.monotonic() - began > _ARRIVAL:
                names = ", ".join(f"rank {rank}" for rank in missing)
                raise ResourceError(
                    f"{names} of {place.world} did not come within {_ARRIVAL:.0f} s",
                    "see whether it was started, and whether its machine reaches MASTER_ADDR and MASTER_PORT",
                )
            time.sleep(POLL)
    except RuntimeError as error:
        raise ResourceError(
            f"rank 0 is not to be reached at {host}:{port}: {str(error).splitlines()[0]}",
            "MASTER_ADDR and MASTER_PORT name the machine of rank 0 and a free port there",
        ) from error
    return store


def _is_kept_elsewhere() -> bool:
    """Whether torchrun keeps the store, rather than rank 0."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"

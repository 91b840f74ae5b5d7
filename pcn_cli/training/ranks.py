"""Several processes that work together, one for each device: who is there, what they hand to one another, who is gone.

They are started by torch's launcher, torchrun or srun. Rank 0 leads: it alone reads what is wanted, writes and speaks;
the others help it with jobs. Numbers on the CPU go through gloo, those on NVIDIA cards through NCCL.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from pcn_cli.errors import PcnError, RankError, StoppedError
from pcn_cli.files.machine import Place

_SILENCE = 300.0  # seconds without a sign of life after which a process is given up
BEAT = 1.0  # seconds between two signs of life
POLL = 0.05
_BUCKET = 25 * 2**20  # bytes of gradients that travel together, as in torch's DistributedDataParallel

Table = Any
"""A torch.distributed.TCPStore, which torch names only where it was built for several processes."""


class Ranks:
    """The processes that work together, as one of them sees them; made without arguments, it is alone.

    Whoever is alone, asks nobody: each method gives back what it was given.
    """

    def __init__(self, place: Place | None = None, store: Table | None = None) -> None:
        self.rank, self.world, *_ = place or Place()
        self._store: Table = store
        self._jobs = 0
        self._farewell: Any = None  # of the first process that ended too early, once it was heard

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, photos: int) -> NDArray[np.int64]:
        """The places, in a batch of so many photos, of those that are learned from here.

        A photo is here with the one that stands as far from the end as it from the beginning, as these two are mixed;
        rank 0 has one if anybody has.
        """
        pairs = photos // 2
        first, end = (-(-pairs * rank // self.world) for rank in (self.rank, self.rank + 1))
        front, even = np.arange(first, end), 2 * pairs
        odd = [photos - 1] if self.leads and photos % 2 else []
        return np.concatenate([front, even - 1 - front[::-1], np.array(odd, dtype=np.int64)])

    def block(self, batches: int, *, rank: int | None = None) -> range:
        """The numbers of the batches that are computed here, or by another rank; whole ones, so that all bits agree."""
        rank = self.rank if rank is None else rank
        return range(-(-batches * rank // self.world), -(-batches * (rank + 1) // self.world))

    def count(self, fits: bool, photos: int) -> tuple[bool, int]:
        """Whether what was tried did fit everywhere, and the photos of all."""
        if self.world == 1:
            return fits, photos
        numbers = torch.tensor([0 if fits else 1, photos])
        with self._naming_lost():
            dist.all_reduce(numbers)
        missing, total = numbers.tolist()
        return missing == 0, total

    def sum_shares(self, tensors: Sequence[Tensor], share: float) -> None:
        """Replace each tensor by the sum of everybody's, each times its `share`; all have the same bits afterwards."""
        works, bucket = [], list[Tensor]()
        for number, tensor in enumerate(tensors):
            bucket.append(tensor)
            last = number + 1 == len(tensors)
            if last or sum(one.nbytes for one in bucket) + tensors[number + 1].nbytes > _BUCKET:
                flat = torch.cat([one.reshape(-1) for one in bucket]).mul_(share)
                with self._naming_lost():
                    works.append((dist.all_reduce(flat, async_op=True), flat, bucket))
                bucket = []
        for work, flat, own in works:
            with self._naming_lost():
                work.wait()
            pieces = torch.split(flat, [one.numel() for one in own])
            torch._foreach_copy_(own, [piece.view(one.shape) for piece, one in zip(pieces, own, strict=True)])

    def from_lead(self, value: Any = None) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What rank 0 gives, everywhere."""
        if self.world == 1:
            return value
        content = json.dumps(value).encode() if self.leads else b""
        with self._naming_lost():
            length = torch.tensor([len(content)])
            dist.broadcast(length, 0)
            data = _as_bytes(content) if self.leads else torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(data, 0)
        return json.loads(data.numpy().tobytes())

    def tensors_from_lead(self, tensors: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The tensors by name that rank 0 gives, everywhere, on the CPU."""
        if self.world == 1:
            return dict(tensors or {})
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in (tensors or {}).items()}
        facts = self.from_lead([[name, list(one.shape), str(one.dtype)] for name, one in own.items()])
        for name, shape, kind in facts:
            if not self.leads:
                own[name] = torch.empty(shape, dtype=getattr(torch, kind.removeprefix("torch.")))
            if own[name].numel():
                with self._naming_lost():
                    dist.broadcast(own[name].reshape(-1).view(torch.uint8), 0)
        return own

    def send(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Hand arrays to rank 0, which asks for them with `receive`."""
        whole = [np.ascontiguousarray(array) for array in arrays]
        content = json.dumps([[list(one.shape), one.dtype.str] for one in whole]).encode()
        with self._naming_lost():
            dist.send(torch.tensor([len(content)]), 0)
            for data in (content, *(one.tobytes() for one in whole if one.size)):
                dist.send(_as_bytes(data), 0)

    def receive(self, rank: int) -> list[NDArray[Any]]:
        """The arrays that another rank sends next."""
        arrays: list[NDArray[Any]] = []
        with self._naming_lost():
            length = torch.tensor([0])
            dist.recv(length, rank)
            content = torch.empty(int(length), dtype=torch.uint8)
            dist.recv(content, rank)
            for shape, kind in json.loads(content.numpy().tobytes()):
                array = np.empty(shape, dtype=np.dtype(kind))
                if array.size:
                    dist.recv(torch.from_numpy(array.reshape(-1).view(np.uint8)), rank)
                arrays.append(array)
        return arrays

    def concatenate(self, own: NDArray[Any]) -> NDArray[Any] | None:
        """The rows of all ranks in their order, for rank 0; None for the others."""
        if not self.leads:
            self.send([own])
            return None
        return np.concatenate([own, *(self.receive(rank)[0] for rank in range(1, self.world))])

    def announce(self, job: Any) -> None:  # noqa: ANN401 - whatever JSON holds
        """Let the others do a job, or with None end; what else they need is given to them afterwards."""
        if self._store is not None:
            self._store.set(f"pcn/job/{self._jobs}", "")
            self._jobs += 1
            self.from_lead(job)

    def next_job(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The next job that rank 0 announces; between two of them it may take any time, as long as it lives.

        Raises:
            RankError: rank 0 has ended, or gave no sign of life for minutes.
        """
        assert self._store is not None  # noqa: S101 - who is alone leads
        heard, beat = time.monotonic(), b""
        with self._naming_lost():
            while not self._store.check([f"pcn/job/{self._jobs}"]):
                if farewell := self.find_farewell():
                    raise farewell
                if (now := self._store.get("pcn/beat/0")) != beat:
                    heard, beat = time.monotonic(), now
                if time.monotonic() - heard > _SILENCE:
                    raise RankError(f"{self._name(0)} has been silent for {_SILENCE:.0f} s")
                time.sleep(POLL)
        self._jobs += 1
        return self.from_lead()

    def say_farewell(self, error: BaseException) -> None:
        """Leave word for the others of why this process ends, if it is the first to end."""
        code, words = 1, f"{type(error).__name__}: {error}"
        if isinstance(error, (PcnError, StoppedError)):
            code, words = error.exit_code, error.message
        word = {"rank": self.rank, "code": code, "message": words, "hint": getattr(error, "hint", "")}
        with suppress(RuntimeError):  # who kept the store is gone, and nobody is left to be told
            self._store.compare_set("pcn/farewell", "", json.dumps(word))

    def find_farewell(self) -> RankError | None:
        """Why another process has ended before, where it left word."""
        if self._farewell is None and self._store is not None and self._store.check(["pcn/farewell"]):
            self._farewell = json.loads(self._store.get("pcn/farewell"))
        if self._farewell is None or self._farewell["rank"] == self.rank:
            return None
        word = self._farewell
        return RankError(f"{self._name(word['rank'])}: {word['message']}", word["hint"], exit_code=word["code"])

    def beat(self, store: Table, ended: threading.Event) -> None:
        """Give a sign of life every second, over a connection of its own, and hear of processes that end."""
        number = 0
        while not ended.wait(BEAT):
            number += 1
            try:
                store.set(f"pcn/beat/{self.rank}", str(number))
                if self._farewell is None and store.check(["pcn/farewell"]):
                    self._farewell = json.loads(store.get("pcn/farewell"))
            except RuntimeError:  # the others are gone; the work itself will notice
                return

    @contextmanager
    def _naming_lost(self) -> Iterator[None]:
        """A context in which a connection that breaks becomes a RankError with the name of who is gone."""
        try:
            yield
        except RankError:
            raise
        except RuntimeError as error:  # of torch.distributed, and of gloo
            raise self._explain_loss() from error

    def _explain_loss(self) -> RankError:
        try:
            time.sleep(BEAT)  # who ends by an error leaves word before its connections close
            if farewell := self.find_farewell():
                return farewell
            silent = self._find_silent()
        except RuntimeError:
            return RankError(f"{self._name(0)} is gone, and what it kept for the others with it")
        who = " and ".join(map(self._name, silent)) or "one of the processes"
        return RankError(f"{who} ended without a word: it was killed, or its machine is gone")

    def _find_silent(self) -> list[int]:
        """The ranks that give no sign of life during a few seconds."""
        store, others = self._store, [rank for rank in range(self.world) if rank != self.rank]
        before = {rank: store.get(f"pcn/beat/{rank}") for rank in others}
        time.sleep(3 * BEAT)
        return [rank for rank in others if store.get(f"pcn/beat/{rank}") == before[rank]]

    def _name(self, rank: int) -> str:
        try:
            return f"rank {rank} ({self._store.get(f'pcn/here/{rank}').decode()})"
        except RuntimeError:
            return f"rank {rank}"


ALONE = Ranks()


def _as_bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)

"""How long an answer of `pcn serve` takes beside the forward pass of its network, on as many threads.

    python tests/benchmarks/serve.py PHOTOS [--model nano] [--threads 1 2] [--rounds 3] [--count 20]

Each answer, on a connection in use, is followed by forward passes of the same photo in this process. An answer ends
with its last byte. A forward pass is that of a photo which was just decoded and resized, as the server does it, or of
the same input for the second time, which finds its memory in the processor's caches. Printed are medians on the wall
and means of processor time (of several threads that counts their waiting), and the ratios of answers to forward passes.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import torch
from torch import Tensor

from pcn_cli.data.load.loaders import LoadedPhoto, stack_photos
from pcn_cli.data.load.open_image import decode_photo
from pcn_cli.data.load.preprocessing import Evaluation
from pcn_cli.files.machine import keep_freed_memory
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.model import Preprocessing
from pcn_cli.stages.inference.load import for_inference, open_model
from pcn_cli.tensors.network import Network
from pcn_cli.tensors.pixels import Norm

TURNS = 7  # of a round
KINDS = ("answer", "forward", "forward again")
CPU = torch.device("cpu")


def main() -> None:
    """Print a line for each number of threads, round and kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20, help="of photos")
    asked = parser.parse_args()
    keep_freed_memory()  # as `pcn` does: otherwise a mobile network's forward pass takes longer than its answer
    files = [path for path in sorted(asked.photos.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    contents = [path.read_bytes() for path in files[:: max(1, len(files) // asked.count)][: asked.count]]
    model = open_model(asked.model, fetch=Fetcher(offline=True))
    network = for_inference(model.network, model.device, precision=model.precision)
    print(f"{asked.model}, {model.precision}, {len(contents)} photos; ms: median of the wall, mean of the processor")
    for threads in asked.threads:
        torch.set_num_threads(threads)
        with serving(asked.model, threads) as server:
            for _ in range(asked.rounds):
                tell(threads, measure(server, network, model.config.preprocessing, contents))


class Server:
    """A running `pcn serve`, asked on one connection by as few steps as there may be."""

    def __init__(self, process: psutil.Popen, address: str) -> None:
        self.process, place = process, urlsplit(address)
        self._socket = socket.create_connection((place.hostname, place.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST {place.path}answer HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: "

    def ask(self, content: bytes) -> None:
        """Wait for the answer to a photo."""
        self._socket.sendall(f"{self._head}{len(content)}\r\n\r\n".encode() + content)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        head, _, body = answer.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) - len(body)
        while left > 0:
            left -= len(self._receive())

    def _receive(self) -> bytes:
        if not (piece := self._socket.recv(2**16)):
            raise ConnectionError("the server ended the connection")
        return piece

    def processor_seconds(self) -> float:
        """What the server has used of processors so far."""
        used = self.process.cpu_times()
        return used.user + used.system


@contextmanager
def serving(model: str, threads: int) -> Iterator[Server]:
    """A server of `model` on so many threads."""
    words = [sys.executable, "-m", "pcn_cli", "serve", model, "--offline"]
    place = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with psutil.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=place) as process:
        try:
            yield Server(process, process.stdout.readline().strip())
        finally:
            process.kill()


def measure(
    server: Server, network: Network, size: Preprocessing, contents: Sequence[bytes]
) -> dict[str, list[tuple[float, float]]]:
    """The seconds of the wall and of the processor of each answer and forward pass; a first turn does not count."""
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for content in contents:
        server.ask(content)
        time_forward(network, prepare(content, size))
    before, walls = server.processor_seconds(), list[float]()
    for content in [*contents] * TURNS:
        start = time.perf_counter()
        server.ask(content)
        walls.append(time.perf_counter() - start)
        images = prepare(content, size)
        for kind in KINDS[1:]:
            taken[kind].append(time_forward(network, images))
    each = (server.processor_seconds() - before) / len(walls)  # it is told in hundredths of a second
    taken["answer"] = [(wall, each) for wall in walls]
    return taken


def prepare(content: bytes, size: Preprocessing) -> Tensor:
    """The network's input of a photo."""
    evaluation = Evaluation(preprocessing=size)
    photo = decode_photo(BytesIO(content), evaluation.least)
    pixels, window = evaluation(photo)
    return stack_photos([LoadedPhoto(0, 0, pixels, photo.size, window)], norm=Norm(size.mean, size.std)).inputs(CPU)


def time_forward(network: Network, images: Tensor) -> tuple[float, float]:
    """The seconds of a forward pass on the wall and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        network.attend(images, values=False)
    return time.perf_counter() - start, time.process_time() - used


def tell(threads: int, taken: dict[str, list[tuple[float, float]]]) -> None:
    """Print what was measured, and the ratios."""
    walls = {kind: 1000 * statistics.median(wall for wall, _ in times) for kind, times in taken.items()}
    used = {kind: 1000 * statistics.fmean(cpu for _, cpu in times) for kind, times in taken.items()}
    told = "   ".join(f"{kind} {walls[kind]:.2f} ({used[kind]:.2f})" for kind in KINDS)
    ratios = " and ".join(f"{walls['answer'] / walls[k]:.3f} ({used['answer'] / used[k]:.3f})" for k in KINDS[1:])
    print(f"threads {threads}, n {len(taken['answer'])}: {told}   ratios {ratios}", flush=True)


if __name__ == "__main__":
    main()

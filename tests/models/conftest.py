"""A tiny published network, and a server on this machine that can misbehave."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pcn_cli.models.download import Patience
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import Preprocessing


class TinySpec(PatchConvNetSpec):
    """A PatchConvNet that has a name in timm."""

    architecture = "patchconvnet_tiny"


@dataclass
class Server:
    """Serves `body` at any path; each entry of `cuts` is the number of bytes after which one answer is cut."""

    body: bytes = b""
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses to give before behaving
    kind: str = "application/octet-stream"
    ignore_range: bool = False
    claim: int | None = None  # the Content-Length to claim
    chunked: bool = False
    redirect: str = ""
    drip: int = 0  # bytes per piece; sets how the body is sent
    on_piece: Callable[[], None] = lambda: None
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        self.asked.append({key.lower(): value for key, value in handler.headers.items()})
        if self.redirect and "/moved/" not in handler.path:
            self._head(handler, 302, {"Location": self.redirect, "Content-Length": "0"})
            return
        if self.answers:
            status = self.answers.pop(0)
            self._head(handler, status, {"Content-Length": "0"})
            return
        if self.etag and handler.headers.get("If-None-Match") == self.etag:
            self._head(handler, 304, {})
            return
        start = 0
        wanted = handler.headers.get("Range")
        if wanted and not self.ignore_range and handler.headers.get("If-Range", self.etag) == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                self._head(handler, 416, {"Content-Range": f"bytes */{len(self.body)}", "Content-Length": "0"})
                return
        rest = self.body[start:]
        headers = {"Content-Type": self.kind, "Content-Length": str(len(rest) if self.claim is None else self.claim)}
        if self.chunked:
            del headers["Content-Length"]
        if self.etag:
            headers["ETag"] = self.etag
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        self._head(handler, 206 if start else 200, headers)
        self._send(handler, rest[: self.cuts.pop(0)] if self.cuts else rest)

    def _head(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        step = self.drip or max(1, len(body))
        for place in range(0, len(body), step):
            piece = body[place : place + step]
            self.sent += len(piece)  # before: who has read the last of it may look at once
            try:
                handler.wfile.write(piece)
                handler.wfile.flush()
            except OSError:
                self.sent -= len(piece)
                return
            self.on_piece()


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server at an address of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a server: serve(body, cuts=[…], …)."""
    with ExitStack() as running:
        yield lambda body=b"", **behaviour: running.enter_context(serving(Server(body=body, **behaviour)))


@pytest.fixture
def naps() -> list[float]:
    """The seconds that a patient download would have slept."""
    return []


@pytest.fixture
def patience(naps: list[float]) -> Patience:
    """Patience that sleeps no time."""
    return Patience(connect=5, read=5, sleep=naps.append)


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and no proxy stands before the server."""
    for name in ("PCN_OFFLINE", "PCN_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny_card() -> Card:
    """A card of a network small enough for a test."""
    return Card(
        name="tiny",
        tag="test",
        network=TinySpec(embed_dim=64, depth=3, num_classes=10),
        preprocessing=Preprocessing(height=224, width=224),
        url="http://127.0.0.1:9/deit/tiny.pth",
    )


@pytest.fixture(scope="session")
def tiny_tensors(tiny_card: Card) -> dict[str, Tensor]:
    """Random tensors by published names, as `tiny_card` wants them."""
    generator = torch.Generator().manual_seed(0)
    return {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in tiny_card.network.shapes().items()}


@pytest.fixture
def tiny_pth(tiny_tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """A published-layout file of `tiny_card`."""
    path = tmp_path / "tiny.pth"
    torch.save({"model": tiny_tensors}, path)
    return path


def sha256(content: bytes) -> str:
    """The hash that a card or a message names."""
    return hashlib.sha256(content).hexdigest()

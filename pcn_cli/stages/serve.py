"""Serve: a page on this machine to drop photos on, and the same answers as JSON for other programs.

Only who knows the address, which has a secret in it, gets an answer; nothing is written, nothing asked of elsewhere.
"""

import asyncio
import io
import json
import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pcn_cli.data.load.loaders import batch_of_one
from pcn_cli.data.load.open_image import UnreadablePhotoError, decode_photo
from pcn_cli.data.load.preprocessing import Evaluation, place_input
from pcn_cli.errors import PcnError, ResourceError
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.arguments import checked
from pcn_cli.report.drop_page import render_drop_page
from pcn_cli.report.encoded_maps import encode_look
from pcn_cli.report.page_data import placed_look
from pcn_cli.runs.rundir import find_maker, open_run
from pcn_cli.stages.answers import answer_of
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import LoadedModel, for_inference, model_source, open_model
from pcn_cli.stages.inference.score import decide_batch
from pcn_cli.tensors.network import Network
from pcn_cli.tensors.pixels import Norm

HOST = "127.0.0.1"
MOST_BYTES = 64 * 2**20  # of one upload; cameras make a fifth of that
_AT_ONCE = 4  # uploads that are held in memory; one is answered at a time
_SECONDS = 60  # within which an upload must be here
_TOP = 5
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address has the secret in it
    "X-Content-Type-Options": "nosniff",
}


@checked
def serve(
    model: str | Path | None = None,
    *,
    port: int = 0,
    load_truncated: bool = False,
    device: str | None = None,
    offline: bool = False,
    mirror: str | None = None,
    callback: Callback | None = None,
    on_ready: Callable[[str], object],
) -> None:
    """Answer photos until the process is stopped; `on_ready` is told the address once it can be opened.

    `model` is a run (the latest when None), a model folder, a weight file or a card. Port 0 is any that is free.
    With `load_truncated` truncated photos are answered as far as they go.

    Raises:
        ResourceError: the port is taken, or may not be used.
    """
    callback = callback or Callback()
    if model is None:
        model = open_run(None).root
        callback.on_note(f"using {model}, the latest finished run")
    with computing_elsewhere() as threads, _bind(port) as bound:
        opened = open_model(model, fetch=Fetcher(offline=offline, mirror=mirror, callback=callback), device=device)
        opened = replace(opened, load_truncated=load_truncated)
        run = find_maker(model_source(model))
        title = (run.root.resolve() if run else Path(str(model))).name
        port = bound.getsockname()[1]
        token = secrets.token_urlsafe(24)
        app = make_app(opened, title=title, token=token, port=port, threads=threads)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=64,
        )
        server = _Server(config, lambda: on_ready(f"http://{HOST}:{port}/{token}/"))
        server.run(sockets=[bound])


@contextmanager
def computing_elsewhere() -> Iterator[int]:
    """One thread of torch's for this thread of Python, so that another may have them all: how many that is.

    Where both have some there are more than cores, and OpenMP puts them to sleep after every layer: an answer of a
    small network takes three times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


class _Server(uvicorn.Server):
    """A server that tells when it can be asked."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets=sockets)
        self._on_ready()


def make_app(model: LoadedModel, *, title: str, token: str, port: int, threads: int = 1) -> ASGIApp:
    """The pages: /TOKEN/ to drop photos on, and /TOKEN/answer, which takes a photo as the body of a POST.

    What answers computes on so many `threads`.
    """
    answerer = Answerer(model)
    html, policy = render_drop_page(title, model.config.classes, looks_evenly=answerer.looks_evenly)
    held = asyncio.Semaphore(_AT_ONCE)
    # Always the same one: the threads that compute beside it are its own, and would be started anew for another.
    thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))

    async def page(_: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def answer(request: Request) -> Response:
        async with held:
            try:
                async with asyncio.timeout(_SECONDS):
                    body = await _read(request)
            except TimeoutError:
                return _refuse(408, f"the photo did not arrive within {_SECONDS} seconds")
            except ClientDisconnect:
                return _refuse(400, "the photo did not arrive")
            if body is None:
                return _refuse(413, f"more than the {MOST_BYTES >> 20} MB that a photo may have")
            try:
                return _json(await asyncio.get_running_loop().run_in_executor(thread, answerer.answer, body))
            except UnreadablePhotoError as error:
                return _refuse(422, error.reason)
            except (PcnError, MemoryError) as error:
                return _refuse(503, str(error) or "the memory ran out")

    routes = [
        Route(f"/{token}/", page, methods=["GET"]),
        Route(f"/{token}/answer", answer, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), token=token, port=port)


class Guard:
    """Lets through who knows the token and comes by this machine's own name, from no page but ours."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{host}:{port}" for host in (HOST, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse in one word."""

        async def send_with_headers(message: Any) -> None:  # noqa: ANN401 - ASGI's
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        request = Request(scope)
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        given = scope["path"].removeprefix("/").partition("/")[0]  # not of a URL, which any Host may spoil
        known = secrets.compare_digest(given.encode(), self._token.encode())
        site = request.headers.get("sec-fetch-site", "same-origin")
        if host not in self._hosts or (origin is not None and origin != f"http://{host}"):
            refusal: ASGIApp = PlainTextResponse("another origin", 403)
        elif not known:
            refusal = PlainTextResponse("not found", 404)
        elif site not in ("same-origin", "none") and request.method != "GET":
            refusal = PlainTextResponse("another origin", 403)
        else:
            refusal = self._app
        await refusal(scope, receive, send_with_headers)


class Answerer:
    """Answers one photo at a time, with the network ready for it."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._network = for_inference(model.network, model.device, precision=model.precision)
        size = model.config.preprocessing
        self._prepare, self._norm = Evaluation(preprocessing=size), Norm(size.mean, size.std)
        self.looks_evenly = cast("Network", model.network).looks_evenly

    def answer(self, content: bytes) -> dict[str, Any]:
        """What `pcn predict --json` says of the photo that `content` is the file of, and `map` as the report has it.

        Of a truncated one it has `missing`, about the share of its rows that are not there.

        Raises:
            UnreadablePhotoError: it is none.
        """
        config = self._model.config
        photo = decode_photo(io.BytesIO(content), self._prepare.least, load_truncated=self._model.load_truncated)
        batch = batch_of_one(self._prepare(photo), norm=self._norm)
        ((decision, look),) = decide_batch(self._model, self._network, batch)
        answer = answer_of(decision, config, top=_TOP)
        del answer["file"]
        answer |= {} if photo.missing is None else {"missing": photo.missing}
        placement = place_input(config.preprocessing, *photo.size)
        return answer | {"map": placed_look(encode_look(look), placement, config.patch_grid)}


async def _read(request: Request) -> bytes | None:
    """The body; None where it is larger than `MOST_BYTES`, of which no more is read."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    # In ASCII, so that names which are no text cannot make it fail.
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def _refuse(status: int, reason: str) -> Response:
    return _json({"error": reason}, status)


def _bind(port: int) -> socket.socket:
    """A socket of this machine alone, on the port."""
    # As TCP by name: only then asyncio sends at once, where an answer's second piece would wait 40 ms for the first.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise ResourceError(
            f"port {port} cannot be used: {error}", "name another with --port, or leave it out"
        ) from error
    return bound

"""One file over HTTP, resumed where it was cut: standard library only, explicit timeouts, nothing taken on trust.

A `.part` that is complete is what comes back; hashing it, reading it and moving it are for the caller.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPResponse
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.request import Request

from pcn_cli.errors import DownloadError, ResourceError
from pcn_cli.files.parts import Origin, Part
from pcn_cli.models.answers import (
    OTHER_PLACE,
    TryAgainError,
    check_kind,
    check_range,
    check_start,
    judge_status,
    read_origin,
    request_headers,
)
from pcn_cli.models.opener import open_url

OnBytes = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait: seconds to connect and to read, tries, and the bytes that every `window` seconds must bring."""

    connect: float = 10.0
    read: float = 30.0
    tries: int = 6
    window: float = 30.0
    floor: int = 32 * 1024
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for: the address, the bytes it may weigh, the bytes that must stay free on the disk beside it."""

    url: str
    least: int
    most: int
    beside: int = 0


class UnreachableError(DownloadError):
    """No server answered at all."""


def download(
    wanted: Wanted, part: Part, *, patience: Patience, on_bytes: OnBytes | None = None, known: Origin | None = None
) -> Origin | None:
    """What `part` is now the whole of; None where `known` is given and the server says that it has not changed.

    Args:
        on_bytes: called with bytes so far and bytes in all (the least it may weigh, where the server does not say).

    Raises:
        DownloadError: refused at once (a web page, a wrong size, 404 …), or still incomplete after all tries.
        UnreachableError: nobody answered; with `known`, after the first try.
        ResourceError: too little space, or not writable.
    """
    reason, answered = "", False
    for attempt in range(patience.tries):
        if attempt:
            patience.sleep(min(2.0 ** (attempt - 1), 30.0))
        try:
            return _try_once(wanted, part, patience, on_bytes or (lambda _done, _total: None), known)
        except TryAgainError as error:
            reason, answered = str(error), True
        except (OSError, HTTPException) as error:
            if isinstance(cause := getattr(error, "reason", error), SSLError):
                raise DownloadError(f"{wanted.url}: the connection is not safe: {cause}") from error
            reason, answered = str(cause) or type(cause).__name__, answered or not isinstance(error, URLError)
            if known and not answered:
                break
    if not answered:
        raise UnreachableError(f"{wanted.url}: nobody answers: {reason}", "check the network, or " + OTHER_PLACE)
    raise DownloadError(
        f"{wanted.url}: {reason} (tried {patience.tries} times)",
        f"run the same command again: it goes on behind the {part.size:,} bytes that are here",
    )


def _try_once(wanted: Wanted, part: Part, patience: Patience, on_bytes: OnBytes, known: Origin | None) -> Origin | None:
    origin = part.read_origin()
    have = part.size if origin and origin.url == wanted.url else 0
    if origin and have and have == origin.size:
        return origin
    if not have or (origin and origin.size and have > origin.size):
        have, origin = 0, None
    request = Request(wanted.url, headers=request_headers(origin, have, known))  # noqa: S310 - open_url checks it
    try:
        with open_url(request, connect=patience.connect, read=patience.read) as response:
            check_kind(response, have, wanted.url)
            if origin and response.status == 206:
                check_range(response, part, origin, have)
            else:
                have, origin = 0, read_origin(response, wanted.url)
            _check_room(wanted, part, origin.size, have)
            if not have:
                _begin(response, part, origin)
            size = _receive(response, part, patience, on_bytes, total=origin.size, wanted=wanted)
    except HTTPError as error:
        with error:
            return judge_status(error, part, origin=origin, have=have, known=known, url=wanted.url)
    if size < (origin.size or wanted.least):
        raise TryAgainError(f"cut after {size:,} of {origin.size or wanted.least:,} bytes")
    return replace(origin, size=size)


def _check_room(wanted: Wanted, part: Part, size: int, have: int) -> None:
    if size and not wanted.least <= size <= wanted.most:
        raise DownloadError(
            f"{wanted.url} weighs {size:,} bytes, expected {wanted.least:,} to {wanted.most:,}", OTHER_PLACE
        )
    needed = (size or wanted.least) - have + wanted.beside
    if (free := part.free_bytes()) < needed:
        raise ResourceError(
            f"the disk is full: {needed:,} bytes are needed in {part.path.parent}, {free:,} are free",
            "free some space, or choose another place with PCN_CACHE=FOLDER",
        )


def _begin(response: HTTPResponse, part: Part, origin: Origin) -> None:
    """Begin the part with the first four bytes; an older part stays until they are known to be good."""
    start = response.read(4)
    check_start(start, origin.url)
    part.begin(origin)
    with part.appending() as write:
        write(start)


def _receive(
    response: HTTPResponse, part: Part, patience: Patience, on_bytes: OnBytes, *, total: int, wanted: Wanted
) -> int:
    """Bytes in the part once the server has no more; what came before an error is kept."""
    done = part.size
    since, fresh = patience.clock(), 0
    with part.appending() as write:
        while chunk := response.read1(1 << 18):
            write(chunk)
            done, fresh = done + len(chunk), fresh + len(chunk)
            on_bytes(done, total or max(wanted.least, done))
            if done > (total or wanted.most):
                break
            if patience.clock() - since >= patience.window:
                if fresh < patience.floor:
                    raise TryAgainError(f"stalled: {fresh:,} bytes in {patience.window:.0f} s")
                since, fresh = patience.clock(), 0
    if done > (total or wanted.most):
        part.discard()
        raise DownloadError(f"{wanted.url}: more than the {total or wanted.most:,} bytes expected", OTHER_PLACE)
    return done

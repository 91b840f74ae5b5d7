"""One file over HTTP, resumed where it was cut: standard library only, explicit timeouts, nothing taken on trust.

What came so far is a `Part` on the disk. A complete one is what comes back; hashing and reading it are for the caller.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from filelock import FileLock

from pcn_cli import __version__
from pcn_cli.errors import DownloadError, ResourceError
from pcn_cli.files.atomic import explaining_refusal, sync
from pcn_cli.files.reading import read_json

_OTHER_PLACE = "try another place with --mirror URL"
_explained = partial(explaining_refusal, elsewhere="choose another place with PCN_CACHE=FOLDER")
_SIGN_IN = "sign in to the network if it asks for it, "
_WEB_PAGE = ("a web page came instead of weights", _SIGN_IN + "then run this again")


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
class Origin:
    """The file that a part belongs to: its address, its whole size in bytes (0: unknown), the server's validators."""

    url: str
    size: int = 0
    etag: str = ""
    modified: str = ""


class UnreachableError(DownloadError):
    """No server answered at all."""


class TryAgainError(Exception):
    """This try failed; the next may not."""


@dataclass(frozen=True)
class Part:
    """The beginning of a file, at `path`, with a note beside it that says of which."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def read_origin(self) -> Origin | None:
        """The file that it belongs to; None where that is not known."""
        try:
            return Origin(**read_json(self._note, most=2**16))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Start anew, as a part of `origin` that holds nothing yet."""
        self.discard()
        with _explained(self._note):  # one that a kill cut short is no origin, and its part is still empty
            self._note.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def discard(self) -> None:
        """Remove it with its note."""
        with _explained(self.path):
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Bytes that its disk can still take."""
        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.path.parent).free

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """A function that adds bytes at the end; they are on the disk when the block is left."""
        # Only our own calls are explained: an OSError of the block is the network's.
        with _explained(self.path):
            file = self.path.open("ab")

        def write(chunk: bytes) -> None:
            with _explained(self.path):
                file.write(chunk)

        try:
            yield write
        finally:
            with _explained(self.path):
                file.close()
                sync(self.path)


@contextmanager
def elect_writer(target: Path) -> Iterator[None]:
    """Hold the right to make `target`; others wait here until the holder is done or dead."""
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_offline() -> bool:
    """Whether PCN_OFFLINE forbids the network."""
    return os.environ.get("PCN_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file to bring into `part`; `run` does it.

    It may weigh `least` to `most` bytes; `least` more must stay free, for what is made of it. `known` is what the
    server said of it another time. `on_bytes` hears the bytes so far and in all (`least`, where that is not said),
    `on_note` why another try is made.
    """

    url: str
    part: Part
    least: int
    most: int
    known: Origin | None = None
    patience: Patience
    on_bytes: Callable[[int, int], None] = lambda _done, _total: None
    on_note: Callable[[str], None] = lambda _text: None

    def run(self) -> Origin | None:
        """The file that `part` now holds whole; None where the server says that the `known` one has not changed.

        Raises:
            DownloadError: refused at once (a web page, a wrong size, 404 …), or still incomplete after all tries.
            UnreachableError: nobody answered; with `known`, after the first try.
            ResourceError: too little space, or not writable.
        """
        reason, answered = "", False
        for attempt in range(self.patience.tries):
            if attempt:
                pause = min(2.0 ** (attempt - 1), 30.0)
                self.on_note(f"{reason}; try {attempt + 1} of {self.patience.tries} in {pause:.0f} s")
                self.patience.sleep(pause)
            try:
                return self._try_once()
            except TryAgainError as error:
                reason, answered = str(error), True
            except (OSError, HTTPException) as error:
                if isinstance(cause := getattr(error, "reason", error), SSLError):
                    raise self._refuse(f"the connection is not safe: {cause}", hint="") from error
                reason, answered = str(cause) or type(cause).__name__, answered or not isinstance(error, URLError)
                if self.known and not answered:
                    break
        if not answered:
            raise UnreachableError(f"{self.url}: nobody answers: {reason}", "check the network, or " + _OTHER_PLACE)
        again = f"run the same command again: it goes on behind the {self.part.size:,} bytes that are here"
        raise self._refuse(f"{reason} (tried {self.patience.tries} times)", again)

    def _try_once(self) -> Origin | None:
        """Ask for what is missing, and take what comes; what a DownloadError or ResourceError tells will not pass."""
        part, origin = self.part, self.part.read_origin()
        have = part.size if origin and origin.url == self.url else 0
        if origin and have and have == origin.size:
            return origin
        if not have or (origin and origin.size and have > origin.size):
            have, origin = 0, None
        request = Request(self.url, headers=self._headers(origin, have))  # noqa: S310 - _open checks it
        try:
            with _open(request, self.patience) as response:
                self._check_kind(response, have)
                if origin and response.status == 206:
                    self._check_range(response, origin, have)
                else:
                    have, sent = 0, response.headers
                    tag, modified = sent.get("ETag", ""), sent.get("Last-Modified", "")
                    origin = Origin(url=self.url, size=response.length or 0, etag=tag, modified=modified)
                self._check_room(origin.size, have)
                if not have:
                    self._begin(response, origin)
                size = self._receive(response, origin.size)
        except HTTPError as error:
            with error:
                return self._judge(error, origin, have)
        if size < (origin.size or self.least):
            raise TryAgainError(f"cut after {size:,} of {origin.size or self.least:,} bytes")
        return replace(origin, size=size)

    def _headers(self, origin: Origin | None, have: int) -> dict[str, str]:
        """Ask for the rest behind `have` bytes of `origin`, or for anything newer than what is known."""
        headers = {"User-Agent": f"pcn/{__version__}", "Accept-Encoding": "identity"}
        if origin:
            headers["Range"] = f"bytes={have}-"
            # A weak validator promises nothing about bytes and must not stand in If-Range.
            strong = origin.etag if not origin.etag.startswith("W/") else ""
            if validator := strong or origin.modified:
                headers["If-Range"] = validator
        elif self.known:
            headers |= {"If-None-Match": self.known.etag} if self.known.etag else {}
            headers |= {"If-Modified-Since": self.known.modified} if self.known.modified else {}
        return headers

    def _check_kind(self, response: HTTPResponse, have: int) -> None:
        """Refuse what is no file: another status, a web page, an encoding that was not asked for."""
        if response.status != 200 and not (response.status == 206 and have):
            raise self._refuse(f"the server answers {response.status} {response.reason}")
        kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
        if kind in ("text/html", "application/xhtml+xml"):
            raise self._refuse(*_WEB_PAGE)
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise self._refuse(f"the server sends the file as {coding}, which was not asked for")

    def _check_range(self, response: HTTPResponse, origin: Origin, have: int) -> None:
        """Drop the part where the server sends other bytes than those that follow it."""
        found = response.headers.get("Content-Range", "")
        fits = found.startswith(f"bytes {have}-") and (not origin.size or found.endswith(f"/{origin.size}"))
        if not fits or response.headers.get("ETag", origin.etag) != origin.etag:
            self.part.discard()
            raise TryAgainError(f"asked for bytes {have}-, got {found or 'no range'}; starting anew")

    def _check_room(self, size: int, have: int) -> None:
        if size and not self.least <= size <= self.most:
            message = f"{self.url} weighs {size:,} bytes, expected {self.least:,} to {self.most:,}"
            raise DownloadError(message, _OTHER_PLACE)
        needed = (size or self.least) - have + self.least
        if (free := self.part.free_bytes()) < needed:
            raise ResourceError(
                f"the disk is full: {needed:,} bytes are needed in {self.part.path.parent}, {free:,} are free",
                "free some space, or choose another place with PCN_CACHE=FOLDER",
            )

    def _begin(self, response: HTTPResponse, origin: Origin) -> None:
        """Begin the part with four bytes of a zip archive, PyTorch's form; an older part stays until they are seen."""
        start = response.read(4)
        if b"PK\x03\x04"[: len(start)] != start:
            if start.lstrip()[:1] == b"<":
                raise self._refuse(*_WEB_PAGE)
            raise self._refuse(f"not a PyTorch weight file: it starts with {start!r}")
        self.part.begin(origin)
        with self.part.appending() as write:
            write(start)

    def _receive(self, response: HTTPResponse, total: int) -> int:
        """Bytes in the part once the server has no more; what came before an error is kept."""
        done, most, patience = self.part.size, total or self.most, self.patience
        since, fresh = patience.clock(), 0
        with self.part.appending() as write:
            while done <= most and (chunk := response.read1(1 << 18)):
                write(chunk)
                done, fresh = done + len(chunk), fresh + len(chunk)
                self.on_bytes(done, total or max(self.least, done))
                if patience.clock() - since >= patience.window:
                    if fresh < patience.floor:
                        raise TryAgainError(f"stalled: {fresh:,} bytes in {patience.window:.0f} s")
                    since, fresh = patience.clock(), 0
        if done > most:
            self.part.discard()
            raise self._refuse(f"more than the {most:,} bytes expected")
        return done

    def _judge(self, error: HTTPError, origin: Origin | None, have: int) -> Origin | None:
        """The file that the part holds whole, where the status says so; None where it says that nothing has changed."""
        if error.code == 304 and self.known:
            return None
        if error.code == 416 and have:
            whole = error.headers.get("Content-Range", "") == f"bytes */{have}"
            if origin and whole and origin.size in (0, have):
                return replace(origin, size=have)
            self.part.discard()
            raise TryAgainError(f"416 for bytes {have}-; starting anew")
        if error.code in (408, 425, 429) or error.code >= 500:
            raise TryAgainError(f"the server answers {error.code} {error.reason}")
        raise self._refuse(f"the server answers {error.code} {error.reason}")

    def _refuse(self, found: str, hint: str = _OTHER_PLACE) -> DownloadError:
        return DownloadError(f"{self.url}: {found}", hint)


def _open(request: Request, patience: Patience) -> HTTPResponse:
    """The server's answer; what is no web address, or leads to another host without encryption, is refused."""

    class PatientHTTP(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(patience.read)

    class PatientHTTPS(PatientHTTP, HTTPSConnection):
        pass

    class Patiently(HTTPHandler, HTTPSHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(PatientHTTP, req)

        def https_open(self, req: Request) -> HTTPResponse:
            patient = cast("Callable[..., HTTPSConnection]", PatientHTTPS)
            return self.do_open(patient, req, context=create_default_context())

    if (scheme := urlsplit(request.full_url).scheme) not in ("http", "https"):
        raise DownloadError(f"{request.full_url}: expected http or https, found {scheme or 'no scheme'}")
    opener = build_opener(Patiently(), _SaneRedirects())
    return cast("HTTPResponse", opener.open(request, timeout=patience.connect))


class _SaneRedirects(HTTPRedirectHandler):
    """Redirects to https anywhere, or to the same host in the same way; five at most."""

    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc) and new.scheme != "https":
            found = f"{req.full_url}: refused to follow to {newurl}: another place without encryption"
            raise DownloadError(found, _SIGN_IN + "or " + _OTHER_PLACE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

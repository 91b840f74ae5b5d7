"""What a server's answer to a download means: go on, start anew, try again, or refuse for good."""

from dataclasses import replace
from http.client import HTTPResponse
from urllib.error import HTTPError

from pcn_cli import __version__
from pcn_cli.errors import DownloadError
from pcn_cli.files.parts import Origin, Part

OTHER_PLACE = "try another place with --mirror URL"


class TryAgainError(Exception):
    """This try failed; the next may not."""


def request_headers(origin: Origin | None, have: int, known: Origin | None) -> dict[str, str]:
    """The words to ask with: for the rest behind `have` bytes of `origin`, or for anything newer than `known`."""
    headers = {"User-Agent": f"pcn/{__version__}", "Accept-Encoding": "identity"}
    if origin:
        headers["Range"] = f"bytes={have}-"
        # A weak validator promises nothing about bytes and must not stand in If-Range.
        strong = origin.etag if not origin.etag.startswith("W/") else ""
        if validator := strong or origin.modified:
            headers["If-Range"] = validator
    elif known:
        headers |= {"If-None-Match": known.etag} if known.etag else {}
        headers |= {"If-Modified-Since": known.modified} if known.modified else {}
    return headers


def read_origin(response: HTTPResponse, url: str) -> Origin:
    """The size and validators that the server gives for a whole file."""
    length = response.headers.get("Content-Length", "")
    return Origin(
        url=url,
        size=int(length) if length.isdigit() else 0,
        etag=response.headers.get("ETag", ""),
        modified=response.headers.get("Last-Modified", ""),
    )


def check_kind(response: HTTPResponse, have: int, url: str) -> None:
    """Refuse what is no file: another status, a web page, an encoding that was not asked for."""
    if response.status != 200 and not (response.status == 206 and have):
        raise DownloadError(f"{url}: the server answers {response.status} {response.reason}", OTHER_PLACE)
    kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
    if kind in ("text/html", "application/xhtml+xml"):
        raise _web_page(url)
    if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise DownloadError(f"{url}: the server sends the file as {coding}, which was not asked for", OTHER_PLACE)


def check_range(response: HTTPResponse, part: Part, origin: Origin, have: int) -> None:
    """Drop the part where the server sends other bytes than those that follow it."""
    found = response.headers.get("Content-Range", "")
    fits = found.startswith(f"bytes {have}-") and (not origin.size or found.endswith(f"/{origin.size}"))
    if not fits or response.headers.get("ETag", origin.etag) != origin.etag:
        part.discard()
        raise TryAgainError(f"asked for bytes {have}-, got {found or 'no range'}; starting anew")


def check_start(start: bytes, url: str) -> None:
    """Refuse what does not begin like a zip archive, the form of a PyTorch file."""
    if b"PK\x03\x04"[: len(start)] == start:
        return
    if start.lstrip()[:1] == b"<":
        raise _web_page(url)
    raise DownloadError(f"{url}: not a PyTorch weight file: it starts with {start!r}", OTHER_PLACE)


def judge_status(
    error: HTTPError, part: Part, *, origin: Origin | None, have: int, known: Origin | None, url: str
) -> Origin | None:
    """What the part is the whole of, where the server says so; None where it says that nothing has changed.

    Raises:
        TryAgainError: the trouble may pass. DownloadError: it will not.
    """
    if error.code == 304 and known:
        return None
    if error.code == 416 and have:
        whole = error.headers.get("Content-Range", "") == f"bytes */{have}"
        if origin and whole and origin.size in (0, have):
            return replace(origin, size=have)
        part.discard()
        raise TryAgainError(f"416 for bytes {have}-; starting anew")
    if error.code in (408, 425, 429) or error.code >= 500:
        raise TryAgainError(f"the server answers {error.code} {error.reason}")
    raise DownloadError(f"{url}: the server answers {error.code} {error.reason}", OTHER_PLACE)


def _web_page(url: str) -> DownloadError:
    return DownloadError(
        f"{url}: a web page came instead of weights", "sign in to the network if it asks for it, then run this again"
    )

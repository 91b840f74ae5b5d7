"""A connection to a server: separate timeouts to connect and to read, and no redirect that leaves a safe place."""

import os
from collections.abc import Callable
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from ssl import create_default_context
from typing import IO, cast
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from pcn_cli.errors import DownloadError


def open_url(request: Request, *, connect: float, read: float) -> HTTPResponse:
    """The server's answer; `connect` and `read` are seconds.

    Raises:
        DownloadError: this, or where a redirect leads, is no web address, or is another host without encryption.
        URLError: nobody answered. HTTPError: the status is neither 2xx nor a redirect.
    """

    class PatientHTTP(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(read)

    class PatientHTTPS(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(read)

    class OpenHTTP(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(PatientHTTP, req)

    class OpenHTTPS(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(
                cast("Callable[..., HTTPSConnection]", PatientHTTPS), req, context=create_default_context()
            )

    if (scheme := urlsplit(request.full_url).scheme) not in ("http", "https"):
        raise DownloadError(f"{request.full_url}: expected http or https, found {scheme or 'no scheme'}")
    opener = build_opener(OpenHTTP(), OpenHTTPS(), _SaneRedirects())
    return cast("HTTPResponse", opener.open(request, timeout=connect))


def is_offline() -> bool:
    """Whether PCN_OFFLINE forbids the network."""
    return os.environ.get("PCN_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


class _SaneRedirects(HTTPRedirectHandler):
    """Redirects to https anywhere, or to the same host in the same way; five at most."""

    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
        if not same and new.scheme != "https":
            raise DownloadError(
                f"{req.full_url}: refused to follow to {newurl}: another place without encryption",
                "sign in to the network if it asks for it, or try another place with --mirror URL",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

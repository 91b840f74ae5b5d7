from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pcn_cli.errors import DownloadError, ResourceError
from pcn_cli.models.download import Download, Origin, Part, Patience, UnreachableError

BODY = b"PK\x03\x04" + bytes(range(256)) * 400
Serve = Callable[..., object]


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "file.part")


def download(url: str, part: Part, *, least: int = 1000, most: int = 10**6, **more: object) -> Origin | None:
    return Download(url=f"{url}/file.pth", part=part, least=least, most=most, **more).run()


def test_a_file_arrives_whole_with_its_progress(serve, part, patience) -> None:
    server, seen = serve(BODY), []
    origin = download(server.url, part, patience=patience, on_bytes=lambda *now: seen.append(now))
    assert part.path.read_bytes() == BODY
    assert origin == Origin(url=f"{server.url}/file.pth", size=len(BODY), etag='"one"')
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_cut_download_goes_on_where_it_was(serve, part, patience, naps) -> None:
    server = serve(BODY, cuts=[30_000, 40_000])
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY
    assert [ask.get("range") for ask in server.asked] == [None, "bytes=30000-", "bytes=70000-"]
    assert all(ask["if-range"] == '"one"' for ask in server.asked[1:])
    assert server.sent <= 1.10 * len(BODY)
    assert naps == [1.0, 2.0]


def test_a_later_call_goes_on_too(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000])
    with pytest.raises(DownloadError, match="cut after 50,000"):
        download(server.url, part, patience=replace(patience, tries=1))
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY
    assert server.sent == len(BODY)


def test_a_complete_part_asks_nobody(serve, part, patience) -> None:
    server = serve(BODY)
    assert download(server.url, part, patience=patience) == download(server.url, part, patience=patience)
    assert len(server.asked) == 1


def test_after_six_tries_the_message_says_what_is_kept(serve, part, patience, naps) -> None:
    server = serve(BODY, cuts=[5000] * 9)
    with pytest.raises(DownloadError) as error:
        download(server.url, part, patience=patience)
    assert len(server.asked) == 6
    assert naps == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert "tried 6 times" in error.value.message
    assert "30,000 bytes" in error.value.hint
    assert part.size == 30_000


def test_another_file_at_the_same_address_is_not_mixed_in(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000])
    with pytest.raises(DownloadError):
        download(server.url, part, patience=replace(patience, tries=1))
    server.body, server.etag = BODY[::1][:4] + bytes(len(BODY) - 4), '"two"'
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == server.body


def test_an_ignored_range_starts_anew(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000], ignore_range=True)
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY


def test_a_server_without_validators_is_resumed_by_size(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000], etag="")
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY
    assert "if-range" not in server.asked[1]


def test_416_for_a_shrunken_file_starts_anew(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000], etag="")
    with pytest.raises(DownloadError):
        download(server.url, part, patience=replace(patience, tries=1))
    server.body = BODY[:40_000]
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY[:40_000]


def test_416_for_a_whole_part_of_unknown_size_is_the_end(serve, part, patience) -> None:
    server = serve(BODY)
    part.begin(Origin(url=f"{server.url}/file.pth", etag='"one"'))
    with part.appending() as write:
        write(BODY)
    assert download(server.url, part, patience=patience).size == len(BODY)
    assert server.sent == 0


def test_a_part_longer_than_the_file_starts_anew(serve, part, patience) -> None:
    server = serve(BODY)
    part.begin(Origin(url=f"{server.url}/file.pth", size=len(BODY), etag='"one"'))
    with part.appending() as write:
        write(BODY + b"more")
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY


def test_a_length_that_is_never_reached_is_given_up(serve, part, patience) -> None:
    server = serve(BODY, claim=len(BODY) + 10)
    with pytest.raises(DownloadError, match="tried 6 times"):
        download(server.url, part, patience=patience)


@pytest.mark.parametrize(("least", "most"), [(200_000, 10**6), (10, 5000)])
def test_a_wrong_length_is_refused_before_a_byte_is_kept(serve, part, patience, least: int, most: int) -> None:
    server = serve(BODY)
    with pytest.raises(DownloadError, match=f"weighs {len(BODY):,} bytes, expected {least:,} to {most:,}"):
        download(server.url, part, least=least, most=most, patience=patience)
    assert part.size == 0
    assert len(server.asked) == 1


def test_a_body_of_unknown_length_ends_at_the_cap(serve, part, patience) -> None:
    server = serve(BODY, chunked=True)
    with pytest.raises(DownloadError, match="more than the 50,000 bytes expected"):
        download(server.url, part, most=50_000, patience=patience)
    assert part.size == 0


def test_a_body_of_unknown_length_may_arrive(serve, part, patience) -> None:
    server = serve(BODY, chunked=True)
    assert download(server.url, part, patience=patience).size == len(BODY)


@pytest.mark.parametrize("behaviour", [{"kind": "text/html; charset=utf-8"}, {"kind": "application/octet-stream"}])
def test_a_web_page_is_refused_at_once(serve, part, patience, behaviour: dict[str, str]) -> None:
    server = serve(b"<!doctype html>" + b"sign in " * 500, **behaviour)
    with pytest.raises(DownloadError, match="a web page came instead of weights"):
        download(server.url, part, patience=patience)
    assert len(server.asked) == 1
    assert part.size == 0


def test_a_web_page_does_not_cost_the_part(serve, part, patience) -> None:
    server = serve(BODY, cuts=[50_000])
    with pytest.raises(DownloadError):
        download(server.url, part, patience=replace(patience, tries=1))
    server.body, server.ignore_range = b"<html>" * 1000, True
    with pytest.raises(DownloadError, match="a web page"):
        download(server.url, part, patience=patience)
    assert part.size == 50_000


def test_what_is_no_zip_is_refused(serve, part, patience) -> None:
    server = serve(b"version https://git-lfs.github.com/spec/v1\n" * 100)
    with pytest.raises(DownloadError, match="not a PyTorch weight file: it starts with b'vers'"):
        download(server.url, part, patience=patience)


def test_404_is_final(serve, part, patience) -> None:
    server = serve(BODY, answers=[404])
    with pytest.raises(DownloadError, match="answers 404") as error:
        download(server.url, part, patience=patience)
    assert len(server.asked) == 1
    assert "--mirror" in error.value.hint


def test_503_passes(serve, part, patience, naps) -> None:
    server = serve(BODY, answers=[503, 429])
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY
    assert naps == [1.0, 2.0]


def test_a_redirect_on_the_same_host_is_followed(serve, part, patience) -> None:
    server = serve(BODY)
    server.redirect = f"{server.url}/moved/file.pth"
    download(server.url, part, patience=patience)
    assert part.path.read_bytes() == BODY


@pytest.mark.parametrize("place", ["other", "file:///etc/hostname", "ftp://127.0.0.1/file.pth"])
def test_a_redirect_to_another_place_without_encryption_is_refused(serve, part, patience, place: str) -> None:
    other = serve(BODY)
    server = serve(BODY, redirect=other.url + "/moved/file.pth" if place == "other" else place)
    with pytest.raises(DownloadError):
        download(server.url, part, patience=patience)
    assert other.asked == []
    assert part.size == 0


def test_an_endless_redirect_ends(serve, part, patience) -> None:
    server = serve(BODY)
    server.redirect = f"{server.url}/again/file.pth"
    with pytest.raises(DownloadError, match="answers 302"):
        download(server.url, part, patience=patience)


def test_a_server_that_drips_is_left(serve, part, patience) -> None:
    now = [0.0]

    def pass_time() -> float:
        now[0] += 10
        return now[0]

    server = serve(BODY)
    slow = replace(patience, clock=pass_time, window=5.0, floor=10**9, tries=2)
    with pytest.raises(DownloadError, match=r"stalled: .* bytes in 5 s"):
        download(server.url, part, patience=slow)


def test_a_silent_server_is_left_after_the_read_timeout(serve, part, patience) -> None:
    import threading

    release = threading.Event()
    server = serve(BODY, drip=20_000, on_piece=lambda: release.wait(5))
    impatient = replace(patience, read=0.1, tries=1)
    with pytest.raises(DownloadError, match="timed out"):
        download(server.url, part, patience=impatient)
    release.set()
    assert part.path.read_bytes() == BODY[:20_000]


def test_nobody_there_is_said_so(part, patience, naps) -> None:
    with pytest.raises(UnreachableError, match="nobody answers"):
        download("http://127.0.0.1:9", part, patience=patience)
    assert len(naps) == 5


def test_no_other_kind_of_address_is_opened(part, patience) -> None:
    with pytest.raises(DownloadError, match="expected http or https, found file"):
        download("file:///etc", part, patience=patience)


def test_too_little_space_is_said_with_both_numbers(serve, part, patience, monkeypatch) -> None:
    server = serve(BODY)
    monkeypatch.setattr(Part, "free_bytes", lambda _: 1000)
    with pytest.raises(ResourceError, match=f"{len(BODY) + 1077:,} bytes are needed .*, 1,000 are free"):
        download(server.url, part, least=1077, patience=patience)
    assert part.size == 0


def test_a_part_that_cannot_be_written_is_a_resource_error(serve, part, patience) -> None:
    part.path.mkdir()
    with pytest.raises(ResourceError, match="cannot write"):
        download(serve(BODY).url, part, patience=patience)


def test_what_has_not_changed_is_not_sent_again(serve, part, patience) -> None:
    server = serve(BODY)
    known = Origin(url=f"{server.url}/file.pth", etag='"one"')
    assert download(server.url, part, patience=patience, known=known) is None
    assert server.sent == 0


def test_the_default_patience_is_the_documented_one() -> None:
    assert (Patience().connect, Patience().read, Patience().tries) == (10.0, 30.0, 6)

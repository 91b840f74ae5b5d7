"""Fixtures for all tests: real files beside the project, small drawn photos, no network."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SHARED = Path(__file__).resolve().parents[2] / "shared"

LOCAL = ("127.0.0.1", "::1", "localhost")


def _forbid_network(event: str, arguments: tuple[object, ...]) -> None:
    """Fails whatever test tries to leave this machine: pcn opens no socket but for weights that were named."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and address[0] not in LOCAL:
            raise AssertionError(f"{event} to {address}")
    elif event == "socket.getaddrinfo" and arguments[0] not in (*LOCAL, None):
        raise AssertionError(f"looking up {arguments[0]}")


sys.addaudithook(_forbid_network)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos, weights and golden outputs beside the project."""
    if not SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED} is missing")
        pytest.skip(f"needs the real photos and weights of {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def launch_chromium() -> Iterator[Callable[..., Browser]]:
    """What starts Debian's chromium with further switches, for all tests: playwright runs once in a process."""
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing: pages must be opened in a browser")
        pytest.skip(f"needs a browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        yield lambda *switches: playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", *switches]
        )


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Three classes of 12 small photos each: noise tinted red, green or blue."""
    rng = np.random.default_rng(0)
    for channel, label in enumerate(("blue", "green", "red")):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 120, (40 + number, 56, 3), dtype=np.uint8)
            pixels[..., 2 - channel] += 100
            Image.fromarray(pixels).save(folder / f"{number:02}.jpg", quality=90)
    return tmp_path / "photos"


@pytest.fixture(scope="session", autouse=True)
def wait_for_no_disk() -> Iterator[None]:
    """No power fails amid a test, and waiting for the disk is a tenth of a small run.

    Commands in processes of their own wait as always; tests of what is waited for put their own in this one's place.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def spare_no_disk() -> Iterator[None]:
    """What is kept between runs is kept on a nearly full disk as well: no test may hang on how full this one is.

    Tests of a full disk say themselves how much of it is free.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcn_cli.files.cache.SPARE_BYTES", 0)
        yield


@pytest.fixture(autouse=True)
def convert_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert every `.pth` in this process, but in tests marked `apart`: another would take a second of each test."""
    unpickle = sys.modules.get("pcn_cli.models.unpickle")
    if unpickle is not None and "apart" not in request.keywords:
        monkeypatch.setattr(unpickle, "convert_apart", importlib.import_module("pcn_cli.tensors.pth").convert_pth)

"""The page to drop photos on: in a real browser, by other programs, and by whoever should get nothing."""

import asyncio
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from pcn_cli.data.load.open_image import UnreadablePhotoError
from pcn_cli.errors import ResourceError
from pcn_cli.models.weights import Fetcher
from pcn_cli.stages import serve as stage
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.predict import predict

TOKEN = "secret-of-this-test"


class Served(NamedTuple):
    """A running server: its port, and the address of its page."""

    port: int
    address: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """nano, served on a free port by a thread of this process."""
    model = open_model("nano", fetch=Fetcher(offline=True))
    with stage._bind(0) as bound:
        port = bound.getsockname()[1]
        app = stage.make_app(model, title="<b>nano</b>", token=TOKEN, port=port)
        ready = threading.Event()
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
        server = stage._Server(config, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        assert ready.wait(30)
        yield Served(port, f"http://127.0.0.1:{port}/{TOKEN}/")
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """A photo that lies on its side, as cameras write it."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path_factory.mktemp("photos") / "<i>one.jpg"
    Image.fromarray(pixels).resize((180, 120)).save(path, quality=90, exif=exif)
    return path


def post(served: Served, content: bytes, **options) -> httpx.Response:
    return httpx.post(f"{served.address}answer", content=content, timeout=60, **options)


def test_the_answer_is_that_of_predict_with_the_map(served, photo):
    response = post(served, photo.read_bytes())
    assert response.status_code == 200
    answer, (expected,) = response.json(), json.loads(json.dumps(predict(photo, model="nano")))
    assert [one["label"] for one in answer["top"]] == [one["label"] for one in expected["top"]]
    assert answer["confidence"] == pytest.approx(expected["confidence"], abs=1e-4)
    assert answer["label"] == expected["label"]
    assert answer["map"]["size"] == [120, 180]
    assert answer["map"]["grid"] == [8, 8]


def test_a_truncated_photo_is_answered_where_that_is_asked_for(photo):
    model, content = open_model("nano", fetch=Fetcher(offline=True)), photo.read_bytes()
    cut = content[: int(0.9 * len(content))]
    with pytest.raises(UnreadablePhotoError, match="truncated JPEG"):
        stage.Answerer(model).answer(cut)
    answerer = stage.Answerer(replace(model, load_truncated=True))
    assert 0 < answerer.answer(cut)["missing"] < 0.5
    assert "missing" not in answerer.answer(content)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 404),
        (f"/{TOKEN[:-1]}/", {}, 404),
        (f"/{TOKEN}x/answer", {}, 404),
        (f"/{TOKEN}/", {"Host": "pcn.example"}, 403),
        (f"/{TOKEN}/", {"Host": "127.0.0.1:1"}, 403),
        (f"/{TOKEN}/", {"Host": "["}, 403),
        (f"/{TOKEN}/", {"Origin": "https://pcn.example"}, 403),
        (f"/{TOKEN}/", {"Origin": "null"}, 403),
        (f"/{TOKEN}/", {}, 200),
    ],
)
def test_others_get_nothing(served, path, headers, status):
    response = httpx.get(f"http://127.0.0.1:{served.port}{path}", headers=headers)
    assert response.status_code == status
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in response.headers


def test_another_page_of_this_machine_cannot_ask(served, photo):
    for headers in (
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert post(served, photo.read_bytes(), headers=headers).status_code == 403
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"}
    assert post(served, photo.read_bytes(), headers=own).status_code == 200
    assert httpx.get(f"{served.address}answer").status_code == 405


def test_nobody_outside_this_machine_is_listened_to():
    with stage._bind(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_answers_are_sent_at_once():
    """Without TCP_NODELAY the second piece of an answer waits 40 ms, once a connection is used again."""

    async def look(bound: socket.socket) -> int:
        found = asyncio.get_running_loop().create_future()

        async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            found.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            writer.close()
            return await asyncio.wait_for(found, 30)

    # In a thread of its own: where a browser was started, this one has a loop.
    with stage._bind(0) as bound, ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, look(bound)).result() != 0


def test_a_taken_port_is_said(served):
    with pytest.raises(ResourceError, match=f"port {served.port} cannot be used"):
        stage._bind(served.port)


def test_messy_uploads_are_answered_in_words_and_the_server_lives_on(served, photo, monkeypatch):
    picture = photo.read_bytes()
    for content in (
        b"",
        b"hello",
        picture[:200],
        picture[:-40] + b"\0" * 7,
        b"\xff\xd8\xff" + b"\0" * 1000,
        b"\x89PNG" * 9,
    ):
        response = post(served, content)
        assert response.status_code in (200, 422), content[:9]
        assert response.json().get("error") or response.status_code == 200
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, format="PNG")
    assert "megapixels" in post(served, bomb.getvalue()).json()["error"]
    monkeypatch.setattr(stage, "MOST_BYTES", 1000)
    response = post(served, b"\xff\xd8\xff" * 1000)
    assert response.status_code == 413
    assert post(served, (b"\xff\xd8\xff" * 100 for _ in range(9))).status_code == 413  # of no declared length
    monkeypatch.setattr(stage, "MOST_BYTES", 2**20)
    monkeypatch.setattr(stage, "_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.sendall(
            f"POST /{TOKEN}/answer HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 99\r\n\r\n".encode()
        )
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    for _ in range(2 * stage._AT_ONCE):  # who goes away half way holds no place
        with socket.create_connection(("127.0.0.1", served.port)) as gone:
            gone.sendall(
                f"POST /{TOKEN}/answer HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 9\r\n\r\n".encode()
            )
    assert post(served, picture).status_code == 200


@pytest.mark.slow
def test_all_the_messy_files_are_answered_and_the_server_lives_on(served, shared, photo):
    count = 0
    for path in sorted((shared / "data" / "messy").rglob("*")):
        if path.is_file() and path.stat().st_size <= 20 * 2**20:
            response = post(served, path.read_bytes())
            assert response.status_code in (200, 422), path
            count += 1
    assert count > 500
    assert post(served, photo.read_bytes()).status_code == 200


@pytest.fixture
def page(served, launch_chromium) -> Iterator[Page]:
    """The page in chromium with a made-up camera; at the end it complained of nothing and asked for its own alone."""
    with launch_chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        context = browser.new_context(permissions=["camera"])
        context.set_default_timeout(20_000)
        page, complaints, requests = context.new_page(), [], []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(served.address)
        yield page
        browser.close()
        assert [text for text in complaints if "422" not in text] == []
        others = [url for url in requests if not url.startswith((served.address, "blob:", "data:"))]
        assert others == []


def painted(page: Page, number: int = 0) -> int:
    """How many pixels of the map of an answer are drawn."""
    return page.evaluate(
        """(number) => {
          const canvas = document.querySelectorAll(".answer canvas")[number];
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, at) => at % 4 === 3 && value > 0).length;
        }""",
        number,
    )


def drop(page: Page, name: str, content: bytes) -> None:
    page.evaluate(
        """([name, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
          for (const kind of ["dragover", "drop"]) {
            const event = new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
          }
        }""",
        [name, list(content)],
    )


def test_a_dropped_photo_gets_its_label_its_probabilities_and_its_map(page, photo):
    (expected,) = predict(photo, model="nano")
    drop(page, photo.name, photo.read_bytes())
    answer = page.locator(".answer")
    expect(answer.locator("h2")).to_have_text(expected["label"])
    expect(answer.locator(".file")).to_have_text(photo.name)
    expect(answer.locator(".bars tr")).to_have_count(5)
    expect(answer.locator("canvas")).to_be_visible()
    assert painted(page) > 1000
    expect(page.locator("#said")).to_have_text(f"{photo.name}: {expected['label']}")
    page.get_by_role("radio", name="Photo").check()
    assert painted(page) == 0
    drop(page, "no.jpg", b"nothing")
    expect(page.locator(".answer.bad h2")).to_contain_text("not an image")
    assert not Axe().run(page).response["violations"]


def test_what_speaks_against_an_answer_stands_beside_it(page, photo):
    def doubt(route):
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"unlike": 2, "missing": 0.125})

    page.route("**/answer", doubt)
    drop(page, photo.name, photo.read_bytes())
    expect(page.locator(".answer .reason")).to_have_text("unlike anything learned; truncated: 12.5 % of it is missing")


def test_the_camera_is_answered(page):
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator(".answer h2")).not_to_have_text("…")
    expect(page.locator(".answer canvas")).to_be_visible()
    page.get_by_role("button", name="Switch the camera off").click()
    expect(page.locator("#viewer")).to_be_hidden()
    assert not Axe().run(page).response["violations"]


def test_everything_can_be_done_by_keys(page, photo):
    page.on("filechooser", lambda chooser: chooser.set_files([photo, photo]))
    page.keyboard.press("Tab")
    expect(page.locator("#files")).to_be_focused()  # by now the browser knows that choosers are looked after
    page.keyboard.press("Enter")
    expect(page.locator(".answer canvas")).to_have_count(2)
    expect(page.locator(".answer canvas").last).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Use the camera")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Heat")).to_be_checked()


def test_nothing_is_written(served, photo, own_cache):
    def everything():
        places = (Path.cwd(), own_cache, photo.parent, Path(tempfile.gettempdir()))
        return {path for place in places for path in place.glob("*")}

    before = everything()
    for _ in range(3):
        assert post(served, photo.read_bytes()).status_code == 200
    assert {path for path in everything() - before if "pcn" in path.name} == set()
    assert not list(Path.cwd().iterdir())


def test_the_command_prints_its_address_once_it_answers_and_ctrl_c_ends_it(tmp_path):
    words = [sys.executable, "-m", "pcn_cli", "serve", "nano", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            assert httpx.get(address).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_only_the_thread_that_answers_computes_on_several(monkeypatch):
    monkeypatch.setattr(stage.Answerer, "answer", lambda *_: {"threads": torch.get_num_threads()})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with stage.computing_elsewhere() as threads:
            here, model = torch.get_num_threads(), open_model("nano", fetch=Fetcher(offline=True))
            app = stage.make_app(model, title="nano", token=TOKEN, port=8000, threads=threads)
            answer = TestClient(app, base_url="http://127.0.0.1:8000").post(f"/{TOKEN}/answer", content=b"x")
        assert (here, answer.json(), torch.get_num_threads()) == (1, {"threads": 2}, 2)
    finally:
        torch.set_num_threads(before)

"""Models pushed to and fetched from a hub on this machine: what arrives, and what does not."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image
from typer.testing import CliRunner

import pcn_cli.models.entrypoints
from pcn_cli.cli.app import app
from pcn_cli.errors import DownloadError, ModelError, RecipeError
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.stages.finetune import finetune
from pcn_cli.stages.hub import list_outgoing, push_model
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.inference.replay import replay_model

COMMIT = "0" * 39 + "1"


class Hub:
    """Repositories by name, each with its files; and every request that came."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.cards: list[str] = []
        self.asked: list[str] = []
        self.url = ""

    def post(self, path: str, body: bytes) -> dict:
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
            self.files.setdefault(name, {})
            self.private[name] = wanted.get("private", wanted.get("visibility") == "private")
            return {"url": f"{self.url}/{name}", "name": name, "id": name}
        if path == "/api/validate-yaml":
            self.cards.append(json.loads(body)["content"])
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            return {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        if "/commit/" in path:
            name = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[name][value["path"]] = base64.b64decode(value["content"])
            return {"commitUrl": f"{self.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "hookOutput": ""}
        raise AssertionError(path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub, at HF_ENDPOINT, with a cache of its own."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.asked.append(self.path)
            self._answer(
                200, json.dumps(hub.post(self.path.partition("?")[0], body)).encode(), Content_Type="application/json"
            )

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            name, _, rest = self.path.lstrip("/").partition("/resolve/")
            content = hub.files.get(name, {}).get(rest.partition("/")[2])
            if content is None:
                self._answer(404, b"{}", X_Error_Code="EntryNotFound" if name in hub.files else "RepoNotFound")
            else:
                tag = f'"{hashlib.sha256(content).hexdigest()}"'
                self._answer(200, content, ETag=tag, X_Repo_Commit=COMMIT, Content_Type="application/octet-stream")

        do_HEAD = do_GET  # noqa: N815 - the server's own name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    hub.url = address
    monkeypatch.setenv("HF_ENDPOINT", address)
    # The client reads the variable once, when it is imported.
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_for_a_test")
    for name in ("PCN_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on photos with telling names."""
    root, rng = tmp_path_factory.mktemp("secret_place"), np.random.default_rng(0)
    for channel, label in enumerate(("blue", "red")):
        (root / "holiday" / label).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 120, (40, 48, 3), dtype=np.uint8)
            pixels[..., 2 - 2 * channel] += 100
            Image.fromarray(pixels).save(root / "holiday" / label / f"anna_{number:02}.png")
    settings = ["explain.checks=0", "train.workers=0"]
    return finetune(
        root / "holiday", output=root / "run", model="nano", tune="probe", size=32, device="cpu", settings=settings
    ).run


def test_what_arrives_works_and_names_no_photo_and_no_path(hub: Hub, run: Path, tmp_path: Path, monkeypatch):
    address = push_model(run, "anna/flowers")
    assert address.endswith("anna/flowers")
    files = hub.files["anna/flowers"]
    assert set(files) == {"README.md", "config.json", "learned.safetensors", "model.safetensors", "replay.json"}
    assert hub.private["anna/flowers"]
    assert files["model.safetensors"] == (run / "model" / "model.safetensors").read_bytes()
    for name, content in files.items():
        for secret in (b"anna_", b"secret_place", b"/tmp", str(Path.home()).encode() + b"/"):
            assert secret not in content, (name, secret)
    # The card reached the hub's validator, and its own reader.
    assert len(hub.cards) == 1
    card = ModelCard(files["README.md"].decode(), ignore_metadata_errors=False)
    assert card.data.library_name == "pcn"
    assert card.data.pipeline_tag == "image-classification"
    assert {one.metric_type for one in card.data.eval_results} >= {"accuracy"}
    # Fetched again it answers alike; the second time nobody is asked.
    fetched = open_model("hf:anna/flowers", fetch=Fetcher())
    own = open_model(run, fetch=Fetcher())
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(fetched.network(images), own.network(images))
    assert fetched.config.classes == own.config.classes
    assert fetched.learned is not None
    before = len(hub.asked)
    monkeypatch.setenv("PCN_OFFLINE", "1")
    open_model("hf:anna/flowers", fetch=Fetcher(offline=True))
    assert len(hub.asked) == before
    # timm and our own replay read the folder as it lies on the hub.
    for name, content in files.items():
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    network = timm.create_model(f"local-dir:{tmp_path / 'folder'}", pretrained=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(images), own.network(images), rtol=1e-4, atol=1e-4)
    assert replay_model(tmp_path / "folder", images=None).problem == ""


def test_nothing_is_sent_before_somebody_said_yes(hub: Hub, run: Path):
    refused = CliRunner().invoke(app, ["models", "push", str(run), "anna/flowers"])
    assert isinstance(refused.exception, RecipeError)
    assert refused.exception.hint == f"pcn models push {run} anna/flowers --yes"
    assert "learned.safetensors" in refused.stderr
    assert hub.asked == []
    done = CliRunner().invoke(app, ["models", "push", str(run), "anna/flowers", "--yes", "--public", "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["files"]["config.json"] > 100
    assert not hub.private["anna/flowers"]


def test_a_fetched_model_predicts_and_starts_a_training(hub: Hub, run: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    push_model(run, "anna/flowers")
    photo = next((run.parent / "holiday" / "red").iterdir())
    done = CliRunner().invoke(app, ["predict", str(photo), "--model", "hf:anna/flowers", "--json"])
    assert done.exit_code == 0, done.exception
    assert '"red"' in done.stdout
    assert find_source("hf:anna/flowers").config().classes == ("blue", "red")


def test_what_cannot_be_done_is_told(hub: Hub, run: Path, tmp_path: Path, monkeypatch):
    with pytest.raises(RecipeError, match="no//name names no repository"):
        push_model(run, "no//name")
    with pytest.raises(ModelError, match=r"hf:a/b/c names no repository"):
        find_source("hf:a/b/c")
    with pytest.raises(DownloadError, match="could not fetch"):
        find_source("hf:nobody/here").config()
    with pytest.raises(ModelError, match=r"no README.md"):
        list_outgoing(Path(pcn_cli.models.entrypoints.__file__).parent / "bundled" / "nano")
    monkeypatch.setenv("PCN_OFFLINE", "1")
    with pytest.raises(DownloadError, match="offline"):
        push_model(run, "anna/flowers")
    with pytest.raises(DownloadError, match="offline"):
        find_source("hf:anna/other").check_available(offline=False)
    assert hub.files == {}

import hashlib
import importlib.util
import json
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pcn_cli.errors import DownloadError, ModelError, RecipeError, ResourceError
from pcn_cli.models import weights
from pcn_cli.models.cached import weights_cache, weights_path
from pcn_cli.models.download import Patience
from pcn_cli.models.published import from_published, to_published
from pcn_cli.models.weights import Fetched, Fetcher, import_weights, verify_weights
from pcn_cli.models.zoo import Card, find_card


def flip(content: bytes) -> bytes:
    """The same bytes with one bit turned over in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder with its content."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@pytest.fixture
def cache() -> Path:
    return weights_cache()


@pytest.fixture(autouse=True)
def no_naps(monkeypatch: pytest.MonkeyPatch, patience: Patience) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(weights, "PATIENCE", patience)


@pytest.fixture
def get(tiny_card):
    """get(mirror=…): the tiny card through the whole way."""

    def fetch(*, card: Card = tiny_card, compare: bool = False, **options: object) -> Fetched:
        return Fetcher(**options).get(card, compare=compare)

    return fetch


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any socket that is opened fails the test."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_a_cut_download_resumes_verifies_and_converts(serve, get, cache, tiny_pth, tiny_tensors) -> None:
    body = tiny_pth.read_bytes()
    server = serve(body, cuts=[len(body) // 3, len(body) // 3])
    fetched = get(mirror=server.url + "/deit/")
    assert server.sent <= 1.10 * len(body)
    assert len(server.asked) == 3
    stored = load_file(fetched.path)
    assert {name: tensor.dtype for name, tensor in stored.items()} == dict.fromkeys(stored, torch.float32)
    back = to_published(stored)
    assert back.keys() == tiny_tensors.keys()
    assert all(torch.equal(back[name], tiny_tensors[name]) for name in back)
    assert sorted(snapshot(cache)) == ["patchconvnet_tiny.test.json", "patchconvnet_tiny.test.safetensors"]


def test_the_record_beside_the_weights_says_where_they_came_from(serve, get, cache, tiny_pth) -> None:
    server = serve(tiny_pth.read_bytes())
    fetched = get(mirror=server.url)
    record = json.loads((cache / "patchconvnet_tiny.test.json").read_text())
    assert record.pop("recorded").endswith("+00:00")
    assert record == {
        "card": "patchconvnet_tiny.test",
        "network": "embed_dim 64, depth 3",
        "num_classes": 10,
        "source": f"{server.url}/tiny.pth",
        "source_sha256": digest(tiny_pth.read_bytes()),
        "source_bytes": tiny_pth.stat().st_size,
        "weights_sha256": digest(fetched.path.read_bytes()),
        "etag": '"one"',
        "modified": "",
    }


def test_first_use_says_that_the_hash_was_recorded(serve, get, tiny_card, cache, tiny_pth) -> None:
    server, notes = serve(tiny_pth.read_bytes()), []
    callback = SimpleNamespace(on_note=notes.append, on_progress=lambda *_: None)
    Fetcher(mirror=server.url, callback=callback)(tiny_card)
    assert notes == [
        f"downloading tiny from {server.url}/tiny.pth: at least {tiny_card.minimum_bytes / 1e6:,.0f} MB",
        f"first use of tiny.pth: no checksum is published, recorded sha256 {digest(tiny_pth.read_bytes())}",
    ]
    Fetcher(mirror=server.url, callback=callback)(tiny_card)
    assert len(notes) == 2
    assert not get(mirror=server.url).first_use


def test_stored_weights_need_no_server(serve, get, tiny_pth) -> None:
    server = serve(tiny_pth.read_bytes())
    first = get(mirror=server.url)
    asked = len(server.asked)
    assert get(mirror=server.url).path == first.path
    assert get(offline=True).path == first.path
    assert len(server.asked) == asked


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_opens_no_socket_and_names_file_and_place(get, cache, how, monkeypatch, no_socket) -> None:
    if how == "environment":
        monkeypatch.setenv("PCN_OFFLINE", "1")
    with pytest.raises(DownloadError) as error:
        get(offline=how == "option")
    assert error.value.exit_code == 5
    assert "tiny.pth" in error.value.message
    assert str(weights_path("patchconvnet_tiny.test")) in error.value.message
    assert "pcn models import tiny.pth tiny" in error.value.hint
    assert not cache.exists()


def test_the_mirror_may_come_from_the_environment(serve, get, tiny_pth, monkeypatch) -> None:
    server = serve(tiny_pth.read_bytes())
    monkeypatch.setenv("PCN_MIRROR", server.url)
    assert get().downloaded


def test_a_mirror_that_is_no_address_is_refused(get) -> None:
    with pytest.raises(RecipeError, match="expected an address"):
        get(mirror="/srv/weights")


def test_a_flipped_byte_in_the_stored_weights_is_noticed_at_use(serve, get, cache, tiny_card, tiny_pth) -> None:
    fetched = get(mirror=serve(tiny_pth.read_bytes()).url)
    good, bad = fetched.path.read_bytes(), flip(fetched.path.read_bytes())
    fetched.path.write_bytes(bad)
    before = snapshot(cache)
    for options in ({}, {"offline": True}, {"compare": True}):
        with pytest.raises(ModelError) as error:
            get(**options)
        assert error.value.exit_code == 4
        assert digest(good) in error.value.message
        assert digest(bad) in error.value.message
    assert snapshot(cache) == before
    checked = verify_weights(tiny_card)
    assert (checked.state, checked.expected, checked.found) == ("damaged", digest(good), digest(bad))


@pytest.mark.parametrize("kept", [True, False], ids=["beside the stored weights", "after they were removed"])
def test_a_second_download_with_another_hash_is_refused(serve, get, cache, tiny_pth, kept) -> None:
    body = tiny_pth.read_bytes()
    first = get(mirror=serve(body).url)
    if not kept:
        first.path.unlink()
    before = snapshot(cache)
    other = flip(body)
    with pytest.raises(ModelError) as error:
        get(mirror=serve(other).url, compare=True)
    assert error.value.exit_code == 4
    assert digest(body) in error.value.message
    assert digest(other) in error.value.message
    assert snapshot(cache) == before


def test_removed_weights_come_back_under_the_recorded_hash(serve, get, tiny_pth) -> None:
    server = serve(tiny_pth.read_bytes())
    first = get(mirror=server.url)
    content = first.path.read_bytes()
    first.path.unlink()
    again = get(mirror=server.url)
    assert again.downloaded
    assert not again.first_use
    assert again.path.read_bytes() == content


def test_comparing_with_an_unchanged_server_sends_nothing(serve, get, tiny_pth) -> None:
    server = serve(tiny_pth.read_bytes())
    get(mirror=server.url)
    sent = server.sent
    fetched = get(mirror=server.url, compare=True)
    assert not fetched.downloaded
    assert server.sent == sent


def test_comparing_where_nobody_answers_keeps_what_is_here(serve, get, tiny_pth, naps) -> None:
    first = get(mirror=serve(tiny_pth.read_bytes()).url)
    fetched = get(mirror="http://127.0.0.1:9", compare=True)
    assert fetched.path == first.path
    assert "nobody answered, kept what is here" in fetched.note
    assert naps == []


def test_a_pinned_hash_decides_at_first_use(serve, get, tiny_card, cache, tiny_pth) -> None:
    body = tiny_pth.read_bytes()
    pinned = replace(tiny_card, sha256=digest(body))
    with pytest.raises(ModelError, match="pinned for tiny"):
        get(card=replace(tiny_card, sha256="0" * 64), mirror=serve(body).url)
    assert snapshot(cache) == {}
    assert not get(card=pinned, mirror=serve(body).url).first_use


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"depth": 2},
            "this file holds a network of embed_dim 64, depth 2, the card is a network of embed_dim 64, depth 3",
        ),
        ({"num_classes": 7}, "this file holds a network of embed_dim 64, depth 3 with 7 classes, the card is"),
        ({"class_tokens": True}, "this file holds a network of embed_dim 64, depth 3, class tokens, the card is"),
    ],
)
def test_a_file_of_another_network_is_refused_with_what_it_is(
    get, cache, tiny_card, serve, tmp_path, other, said
) -> None:
    shapes = replace(tiny_card.network, **other).shapes()
    path = tmp_path / "other.pth"
    torch.save({"model": {name: torch.zeros(shape) for name, shape in shapes.items()}, "pad": torch.zeros(10**5)}, path)
    with pytest.raises(ModelError, match=said):
        get(mirror=serve(path.read_bytes()).url)
    assert snapshot(cache) == {}


def test_networks_are_named_as_people_say_them(tmp_path, cache) -> None:
    path = tmp_path / "nano.pth"
    shapes = find_card("nano").network.shapes()
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with pytest.raises(ModelError) as error:
        import_weights(path, card=find_card("s60"))
    assert error.value.message == "this file holds Nano with 200 classes, the card is S60"
    assert error.value.exit_code == 4


def test_a_damaged_first_download_leaves_nothing(serve, get, cache, tiny_pth) -> None:
    with pytest.raises(ModelError, match="damaged"):
        get(mirror=serve(flip(tiny_pth.read_bytes())).url)
    assert snapshot(cache) == {}


def test_a_truncated_file_on_the_server_leaves_nothing(serve, get, cache, tiny_pth, tiny_card) -> None:
    with pytest.raises(ModelError, match="no PyTorch weight file"):
        get(mirror=serve(tiny_pth.read_bytes()[: tiny_card.minimum_bytes + 10]).url)
    with pytest.raises(DownloadError, match="weighs 1,000 bytes, expected"):
        get(mirror=serve(tiny_pth.read_bytes()[:1000]).url)
    assert snapshot(cache) == {}


def test_a_web_page_leaves_nothing(serve, get, cache) -> None:
    with pytest.raises(DownloadError, match="a web page"):
        get(mirror=serve(b"<!doctype html>" * 10**5, kind="text/html").url)
    assert snapshot(cache) == {}


def test_one_process_downloads_and_the_others_wait_for_it(serve, tiny_card, cache, patience, tiny_pth) -> None:
    server, paths = serve(tiny_pth.read_bytes()), []

    def run() -> None:
        paths.append(Fetcher(mirror=server.url).get(tiny_card).path)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 4
    assert len(server.asked) == 1


def test_a_whole_download_survives_a_conversion_that_could_not_be_written(serve, get, tiny_pth, monkeypatch) -> None:
    server = serve(tiny_pth.read_bytes())

    def full(*_: object, **__: object) -> None:
        raise ResourceError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("pcn_cli.models.weights.save_tensors", full)
        with pytest.raises(ResourceError):
            get(mirror=server.url)
    assert get(mirror=server.url).path.is_file()
    assert len(server.asked) == 1


def test_a_card_without_weights_says_so(cache) -> None:
    with pytest.raises(ModelError, match="there are no weights of l60"):
        Fetcher().get(find_card("l60"))


def test_weights_inside_the_package_need_no_cache_and_are_verified(cache) -> None:
    card = find_card("nano")
    assert Fetcher(offline=True)(card) == card.folder / "model.safetensors"
    assert verify_weights(card).state == "verified"
    assert verify_weights(replace(card, sha256="0" * 64)).state == "damaged"
    assert not cache.exists() or not list(cache.iterdir())


def test_a_local_file_is_imported_as_a_card(tiny_card, tiny_pth, cache, get) -> None:
    imported = import_weights(tiny_pth, card=tiny_card)
    assert imported.first_use
    assert get(offline=True).path == imported.path
    assert imported.record.source == str(tiny_pth)


def test_another_local_file_of_the_same_card_is_refused(tiny_card, tiny_pth, tiny_tensors, cache, tmp_path) -> None:
    import_weights(tiny_pth, card=tiny_card)
    before = snapshot(cache)
    other = tmp_path / "other.pth"
    torch.save({"model": {name: tensor + 1 for name, tensor in tiny_tensors.items()}}, other)
    with pytest.raises(ModelError, match=digest(tiny_pth.read_bytes())):
        import_weights(other, card=tiny_card)
    assert snapshot(cache) == before


def test_a_file_without_a_card_is_kept_under_its_hash(tiny_pth, tiny_tensors, cache) -> None:
    first = import_weights(tiny_pth)
    assert first.path.name == f"sha256-{digest(tiny_pth.read_bytes())}.safetensors"
    assert first.path == import_weights(tiny_pth).path
    ours = from_published(tiny_tensors)
    stored = load_file(first.path)
    assert all(torch.equal(stored[name], tensor) for name, tensor in ours.items())


def test_a_missing_file_is_named(tmp_path, cache) -> None:
    with pytest.raises(ModelError, match=r"there is no file .*gone.pth"):
        import_weights(tmp_path / "gone.pth")


def test_a_damaged_record_is_refused(serve, get, cache, tiny_pth) -> None:
    get(mirror=serve(tiny_pth.read_bytes()).url)
    (cache / "patchconvnet_tiny.test.json").write_text("{")
    with pytest.raises(ModelError, match=r"patchconvnet_tiny.test.json is damaged"):
        get(offline=True)


def test_verify_tells_the_three_states(tiny_card, tiny_pth, cache) -> None:
    assert verify_weights(tiny_card).state == "not in the cache"
    import_weights(tiny_pth, card=tiny_card)
    assert verify_weights(tiny_card).state == "verified"


def test_the_cache_follows_its_variable(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PCN_CACHE", str(tmp_path / "elsewhere"))
    assert weights_cache() == tmp_path / "elsewhere" / "weights"
    monkeypatch.delenv("PCN_CACHE")
    assert weights_cache().name == "weights"


@pytest.mark.slow
def test_a_whole_s60_resumes_and_converts(shared, serve, cache, patience, tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("fill", shared / "golden" / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    card, path = find_card("s60"), tmp_path / "s60_224_21k.pth"
    tensors = {name: torch.from_numpy(fill.parameter(name, shape)) for name, shape in card.network.shapes().items()}
    torch.save({"model": tensors}, path)
    server = serve(path.read_bytes(), cuts=[30_000_000, 30_000_000])
    fetched = Fetcher(mirror=server.url).get(card)
    assert server.sent <= 1.10 * path.stat().st_size
    back = to_published(load_file(fetched.path))
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_what_killed_conversions_left_goes_with_the_next_one(serve, get, cache, tiny_pth) -> None:
    """A third of killed downloads left a file as large as the weights, which nobody ever removed."""
    left = cache / ".patchconvnet_tiny.test.converting"
    (left / "pcn-pth-x").mkdir(parents=True)
    (left / ".0123456789ab.part.safetensors").write_bytes(bytes(100))
    old, new, others = (cache / f".{name}.part.safetensors" for name in ("a" * 12, "b" * 12, "c" * 12))
    for path in (old, new, others):
        path.write_bytes(bytes(100))
    os.utime(old, (1, 1))
    other_key = cache / ".patchconvnet_other.converting"
    other_key.mkdir()
    get(mirror=serve(tiny_pth.read_bytes()).url)
    assert not left.exists()
    assert not old.exists()
    assert new.exists()  # it may be at work
    assert other_key.exists()
    assert sorted(snapshot(cache)) == ["patchconvnet_tiny.test.json", "patchconvnet_tiny.test.safetensors"]


@pytest.mark.parametrize("problem", [ModelError("refused"), ResourceError("full"), KeyboardInterrupt()])
def test_a_conversion_that_fails_leaves_nothing_hidden(tiny_pth, cache, monkeypatch, problem) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(weights, "write_json", fail)
    with pytest.raises(type(problem)):
        import_weights(tiny_pth)
    assert [path for path in cache.rglob("*") if not path.name.endswith(".lock")] == []


def test_a_download_says_what_it_fetches_and_why_it_tries_again(serve, tiny_card, tiny_pth) -> None:
    body, notes = tiny_pth.read_bytes(), []
    server = serve(body, answers=[503], cuts=[len(body) // 2])
    callback = SimpleNamespace(on_note=notes.append, on_progress=lambda *_: None)
    Fetcher(mirror=server.url, callback=callback)(tiny_card)
    size = f"{tiny_card.minimum_bytes / 1e6:,.0f} MB"
    assert notes[0] == f"downloading tiny from {server.url}/tiny.pth: at least {size}"
    assert notes[1] == "the server answers 503 Service Unavailable; try 2 of 6 in 1 s"
    assert notes[2] == f"cut after {len(body) // 2:,} of {len(body):,} bytes; try 3 of 6 in 2 s"


@pytest.mark.parametrize("behaviour", [{"answers": [404]}, {"kind": "text/html"}, {"cuts": [10] * 9}, None])
def test_a_download_that_fails_names_what_else_there_is(serve, get, tiny_pth, behaviour) -> None:
    url = "http://127.0.0.1:9" if behaviour is None else serve(tiny_pth.read_bytes(), **behaviour).url
    with pytest.raises(DownloadError) as caught:
        get(mirror=url)
    assert "pcn models import tiny.pth tiny" in caught.value.hint
    assert "--model nano" in caught.value.hint


@pytest.mark.parametrize("content", ["[" * 100_000, "[1]", "null", '{"card": NaN}', '{"card": 3}'])
def test_a_record_that_is_none_is_refused(tiny_card, cache, content) -> None:
    cache.mkdir(parents=True)
    (cache / "patchconvnet_tiny.test.json").write_text(content)
    with pytest.raises(ModelError, match=r"patchconvnet_tiny.test.json is damaged"):
        verify_weights(tiny_card)

import argparse
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pcn_cli.errors import ModelError, ResourceError
from pcn_cli.models import unpickle
from pcn_cli.models.unpickle import read_pth

SMALL = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def rewrite(
    path: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes], *, compression: int = zipfile.ZIP_STORED
) -> Path:
    """The archive with each member's bytes changed."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for info, content in members:
            archive.writestr(info.filename, change(info, content))
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda sd: {"model": sd},
        lambda sd: {"model": {"module." + name: tensor for name, tensor in sd.items()}},
        lambda sd: sd,
        lambda sd: {"state_dict": sd, "epoch": 3},
        lambda sd: {"model_ema": sd},
        lambda sd: {"model": sd, "args": argparse.Namespace(lr=0.1, model="s60"), "optimizer": {"state": {}}},
        lambda sd: {"model": {name: torch.nn.Parameter(tensor) for name, tensor in sd.items()}},
    ],
    ids=["model", "module.", "bare", "state_dict", "model_ema", "args", "parameters"],
)
def test_every_published_layout_gives_the_same_tensors(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]
) -> None:
    read = read_pth(save(tmp_path / "w.pth", wrap(SMALL)))
    assert list(read) == list(SMALL)
    assert all(torch.equal(read[name], SMALL[name]) for name in SMALL)


class Code:
    """A pickle of this runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch proof-that-code-ran",)


def test_code_in_a_pickle_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="is refused"):
        read_pth(save(tmp_path / "w.pth", {"model": SMALL, "args": Code()}))
    assert not (tmp_path / "proof-that-code-ran").exists()


def test_a_plain_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Code()))
    with pytest.raises(ModelError, match="no PyTorch weight file"):
        read_pth(path)


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"PK\x03\x04 and then nothing"])
def test_other_bytes_are_no_weight_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w.pth is no PyTorch weight file"):
        read_pth(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", SMALL)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError):
        read_pth(path)


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    path = rewrite(save(tmp_path / "w.pth", {"model": {"a": torch.zeros(10**5)}}), lambda _, c: c, compression=8)
    with pytest.raises(ModelError, match="is compressed or encrypted"):
        read_pth(path)


@pytest.mark.parametrize(("members", "letters"), [(1, 60_000), (60, 1_000)])
def test_members_with_longer_names_than_weights_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: int, letters: int
) -> None:
    monkeypatch.setattr("pcn_cli.tensors.pth._NAME_BYTES", 50_000)
    path = save(tmp_path / "w.pth", SMALL)
    assert read_pth(path).keys() == SMALL.keys()
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(members):
            archive.writestr(f"{number:0{letters}d}", b"")
    with pytest.raises(ModelError, match="the names of its members are too long"):
        read_pth(path)


@pytest.mark.parametrize("step", [b"(", b"]", b"N0", b"K\x01"])
def test_a_pickle_of_more_steps_than_weights_have_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: bytes
) -> None:
    monkeypatch.setattr("pcn_cli.tensors.pth._STEPS", 1000)
    path = save(tmp_path / "w.pth", SMALL)
    assert read_pth(path).keys() == SMALL.keys()
    path = rewrite(
        path,
        lambda member, content: b"\x80\x02" + 1000 * step + b"." if member.filename.endswith("data.pkl") else content,
    )
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ModelError, match=r"data\.pkl has more than 1,000 steps"):
        read_pth(path)


def test_an_archive_without_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/cat.jpg", b"x")
    with pytest.raises(ModelError, match=r"it has no data.pkl"):
        read_pth(path)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", SMALL)
    content = bytearray(path.read_bytes())
    # Let the last entry of the directory point at the first member.
    last = content.rindex(b"PK\x01\x02")
    content[last + 42 : last + 46] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_pth(path)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", {"model": {"a": torch.rand(1000)}})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged: the checksum of .* is wrong"):
        read_pth(path)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(4, dtype=torch.float16), "is float16, expected float32"),
        (torch.zeros(4, dtype=torch.int64), "is int64, expected float32"),
        (torch.zeros(1).expand(10**6), "is not stored densely"),
        (torch.zeros(10)[::2], "is not stored densely"),
        (torch.eye(3).to_sparse(), "is not stored densely"),
        (torch.tensor([0.0, float("nan")]), "has numbers that are not finite"),
        (torch.tensor([0.0, float("inf")]), "has numbers that are not finite"),
    ],
)
def test_tensors_that_no_network_has_are_refused_by_name(tmp_path: Path, tensor: Tensor, said: str) -> None:
    with pytest.raises(ModelError) as error:
        read_pth(save(tmp_path / "w.pth", {"model": {**SMALL, "bad": tensor}}))
    assert error.value.message == f"w.pth is refused: bad {said}"


def test_tensors_that_share_one_store_are_refused(tmp_path: Path) -> None:
    one = torch.zeros(10**5)
    with pytest.raises(ModelError, match="its tensors add up to 40,000,000 bytes"):
        read_pth(save(tmp_path / "w.pth", {f"t{i}": one for i in range(100)}))


def test_permuted_tensors_are_dense(tmp_path: Path) -> None:
    weight = torch.rand(8, 4, 3, 3).to(memory_format=torch.channels_last)
    assert torch.equal(read_pth(save(tmp_path / "w.pth", {"w": weight}))["w"], weight)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 1, "lr": 0.1}, "holds a dictionary of 'epoch', 'lr'"),
        ([1, 2], "holds list"),
        ({}, "holds a dictionary of nothing"),
        ({"model": {"a": 1}}, "holds a dictionary of 'model'"),
        (torch.zeros(3), "holds Tensor"),
    ],
)
def test_what_it_holds_instead_is_said(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_pth(save(tmp_path / "w.pth", content))


def test_an_old_style_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    buffer = io.BytesIO()
    torch.save(SMALL, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="no PyTorch weight file"):
        read_pth(path)


def zipped(path: Path, data: bytes, **members: bytes) -> Path:
    """An archive of PyTorch's form whose data.pkl is `data`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", data)
        archive.writestr("w/version", b"3\n")
        for name, content in members.items():
            archive.writestr(f"w/{name}", content)
    return path


def call(name: str, argument: bytes) -> bytes:
    """A pickle that calls the function `module.name` with an argument."""
    module, _, function = name.rpartition(".")
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + argument + b"\x85R."


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


@pytest.mark.parametrize(
    "name", ["posix.system", "builtins.eval", "subprocess.Popen", "torch.hub.load", "shutil.rmtree", "pickle.loads"]
)
def test_what_a_pickle_wants_to_call_is_named_in_our_words(tmp_path: Path, name: str) -> None:
    """Torch's own message names it only sometimes, in colours, and advises to load the file without its protection."""
    with pytest.raises(ModelError) as caught:
        read_pth(zipped(tmp_path / "w.pth", call(name, text("x"))))
    assert caught.value.message == f"w.pth is refused: it wants to call {name}; weights are data and call nothing"
    assert caught.value.hint == ""


def test_names_of_newer_pickles_and_many_names_are_told_too(tmp_path: Path) -> None:
    four = pickle.dumps([os.system, eval, exec, open], protocol=4)
    with pytest.raises(ModelError, match=r"call posix.system, builtins.eval, builtins.exec and 1 more"):
        read_pth(zipped(tmp_path / "w.pth", four))


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x02", b"\x80\x02}q", b"(lp0\n", b"\xff" * 50, b"\x80\x02h\x07.", b"\x80\x02cno\nnewline"]
)
def test_a_broken_pickle_is_refused_without_advice(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelError, match=r"w\.pth is refused") as caught:
        read_pth(zipped(tmp_path / "w.pth", data))
    for word in ("weights_only", "unsafe", "allowlist", "safe_globals", "torch.load", "\x1b"):
        assert word not in caught.value.message + caught.value.hint


@pytest.mark.apart
def test_a_pickle_that_asks_for_any_memory_is_refused_within_bounds(tmp_path: Path) -> None:
    """353 bytes took 4.9 GB: a bytearray of 4 GB, made while they were read."""
    path = zipped(tmp_path / "w.pth", call("builtins.bytearray", number(4 << 30)))
    code = (
        "import resource, sys; from pathlib import Path; from pcn_cli.models.unpickle import read_pth\n"
        "try: read_pth(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error.message)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    ran = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    said, memory = ran.stdout.splitlines()
    assert said == "ModelError w.pth is refused: it asks for more memory than it stores"
    assert int(memory) < 1e9


@pytest.mark.apart
def test_a_process_of_its_own_gives_the_same_tensors_and_the_same_refusals(tmp_path: Path) -> None:
    read = read_pth(save(tmp_path / "w.pth", {"model": SMALL}))
    assert list(read) == list(SMALL)
    assert all(torch.equal(read[name], SMALL[name]) for name in SMALL)
    with pytest.raises(ModelError, match="has numbers that are not finite"):
        read_pth(save(tmp_path / "w.pth", {"model": {"a": torch.tensor([torch.nan])}}))


@pytest.mark.apart
def test_modules_beside_the_weights_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("torch", "pcn_cli", "zipfile", "psutil"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    assert list(read_pth(save(tmp_path / "w.pth", SMALL))) == list(SMALL)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "takes more memory or time than its"),
        ("while True: pass", "takes more memory or time than its"),
        ("raise MemoryError", "takes more memory or time than its"),
        ("print('[1, 2]'); raise SystemExit(1)", "takes more memory or time than its"),
        ('print(\'{"kind": "Nonsense"}\'); raise SystemExit(1)', "takes more memory or time than its"),
    ],
)
@pytest.mark.apart
def test_a_reader_that_dies_or_never_ends_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    path, run = save(tmp_path / "w.pth", SMALL), subprocess.run
    monkeypatch.setattr(unpickle, "_SECONDS", 1)
    monkeypatch.setattr(
        unpickle.subprocess, "run", lambda _words, **how: run([sys.executable, "-S", "-c", code], **how)
    )
    with pytest.raises(ModelError, match=said):
        read_pth(path)


@pytest.mark.apart
def test_a_full_disk_while_it_is_converted_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"kind": "ResourceError", "message": "cannot write x", "hint": "free some space there"}'
    code, run = f"print({said!r}); raise SystemExit(1)", subprocess.run
    monkeypatch.setattr(
        unpickle.subprocess, "run", lambda _words, **how: run([sys.executable, "-S", "-c", code], **how)
    )
    with pytest.raises(ResourceError, match="cannot write x") as caught:
        read_pth(save(tmp_path / "w.pth", SMALL))
    assert caught.value.hint == "free some space there"

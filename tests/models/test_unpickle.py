import argparse
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pcn_cli.errors import ModelError
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

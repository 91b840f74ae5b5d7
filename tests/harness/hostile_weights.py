"""Files that a person might be given as weights: malicious, broken or of another kind. Each is to be refused.

`make_files(folder)` writes them and gives for each its name and path; what runs in any of them leaves the file PROOF.
"""

import argparse
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save, save_file

from pcn_cli.models.build import make_model
from pcn_cli.models.published import PatchConvNetSpec
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.records.model import ModelConfig, Preprocessing

PROOF = "proof-that-code-ran"
GIB = 1 << 30


# Large, or slow to make or to refuse: not for every run of the tests.
HEAVY = (
    *("seventy thousand members", "names of a hundred megabytes", "a header of ninety megabytes", "lists in lists"),
    *(
        "two hundred thousand tensors in one place",
        "three million empty lists",
        "three million marks",
        "a deep backbone",
    ),
    *("a backbone of many stages", "a wide backbone", "a million classes", "sixty thousand blocks", "lzma members"),
)


def make_files(folder: Path, *, heavy: bool = True) -> Iterator[tuple[str, Path]]:
    """The name and the path of each, in an order that does not change; all, or without those that are `HEAVY`."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, makers in (("pickle", _pickles()), ("zip", _archives()), ("tensors", _tensors()), ("header", _headers())):
        for name, make in makers.items():
            if name in HEAVY and not heavy:
                continue
            path = folder / f"{kind} {name}{'.safetensors' if kind == 'header' else '.pth'}".replace(" ", "-")
            make(path)
            yield f"{kind}: {name}", path
    _write_model(folder / "model")
    for name, change in _configs().items():
        if name in HEAVY and not heavy:
            continue
        path = shutil.copytree(folder / "model", folder / f"folder {name}".replace(" ", "-"))
        change(path)
        yield f"folder: {name}", path


# Pickles, in an archive as torch.save writes it.


def _pickles() -> dict[str, Callable[[Path], object]]:
    touch = f"touch {PROOF}"
    calls = {
        **dict.fromkeys(("posix.system", "os.system", "subprocess.getoutput", "subprocess.call", "os.popen"), touch),
        **dict.fromkeys(("builtins.eval", "builtins.exec"), f"open('{PROOF}', 'w')"),
        **dict.fromkeys(("builtins.open", "io.open", "pathlib.Path.touch"), PROOF),
        **dict.fromkeys(("builtins.__import__", "importlib.import_module"), "antigravity"),
        **dict.fromkeys(("pickle.loads", "marshal.loads", "torch.load", "torch.hub.load"), PROOF),
        "shutil.rmtree": "/nonexistent",
        "webbrowser.open": "http://127.0.0.1:9",
        "torch.utils.cpp_extension.load_inline": PROOF,
        "numpy.load": PROOF,
    }
    made: dict[str, bytes] = {f"calls {name}": _call(name, _text(word)) for name, word in calls.items()}
    made |= {f"calls posix.system by protocol {n}": pickle.dumps(_Touch(), protocol=n) for n in (0, 1, 3, 4, 5)}
    made |= {
        f"takes {n} GiB by {name}": _call(name, _number(n * GIB))
        for name in ("builtins.bytearray", "builtins.bytes", "numpy.zeros", "torch.zeros", "builtins.list")
        for n in (4, 64)
    }
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    laughs = b"\x80\x02]q\x00(K\x01K\x01e" + b"".join(
        b"]" + b"q" + bytes([n]) + b"(" + b"h" + bytes([n - 1]) + (b"h" + bytes([n - 1])) * 9 + b"e"
        for n in range(1, 30)
    )
    made |= {
        "code behind the tensors": pickle.dumps({"model": {}, "args": _Touch()}, protocol=2),
        "code by build": b"\x80\x02cargparse\nNamespace\n)\x81}X\x01\x00\x00\x00acposix\nsystem\nsb.",
        "code by inst": b"(S'touch " + PROOF.encode() + b"'\niposix\nsystem\n.",
        "code by obj": b"\x80\x02(cposix\nsystem\n" + _text(touch) + b"o.",
        "code by newobj_ex": b"\x80\x04cposix\nsystem\n" + _text(touch) + b"\x85}\x92.",
        "code by extension": b"\x80\x02\x82\x01.",
        "a storage that is no storage": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "a memo of four thousand million places": b"\x80\x02}r\xff\xff\xff\xff.",
        "a text of four gigabytes": b"\x80\x02X\xff\xff\xff\xff.",
        "bytes of sixteen exabytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "a bytearray of sixteen exabytes": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "a number of two gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "a size of a thousand million": b"\x80\x02ctorch\nSize\n(" + b"K\x01" * 1000 + b"t\x85R.",
        "lists in lists": deep,
        "a million laughs": b"\x80\x02]q\x00(K\x01K\x01e" + laughs + b".",
        "three million empty lists": b"\x80\x02](" + b"]" * 3_000_000 + b"e.",
        "three million marks": b"\x80\x02" + b"(" * 3_000_000 + b".",
        "an unknown operation": b"\x80\x02\xf0.",
        "nothing": b"",
        "no end": b"\x80\x02}",
        "random bytes": bytes(range(256)) * 8,
        "text": b"this is not a pickle",
        "a missing memo": b"\x80\x02h\x07.",
        "an empty stack": b"\x80\x02R.",
    }
    return {name: lambda path, data=data: _archive(path, data) for name, data in made.items()}


class _Touch:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {PROOF}",)


def _call(name: str, argument: bytes) -> bytes:
    module, _, function = name.rpartition(".")
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + argument + b"\x85R."


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def _number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def _archive(path: Path, data: bytes, members: dict[str, bytes] | None = None, **how: int) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        archive.writestr("w/data.pkl", data)
        archive.writestr("w/version", b"3\n")
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return path


# Archives that are not what they seem.


def _archives() -> dict[str, Callable[[Path], object]]:
    empty = pickle.dumps({}, protocol=2)

    def many(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data.pkl", empty)
            for number in range(70_000):
                archive.writestr(f"w/data/{number}", b"")

    def named(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data.pkl", empty)
            for number in range(2_000):
                archive.writestr(f"w/data/{number:05}" + "x" * 60_000, b"")

    def patched(change: Callable[[bytearray], object]) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            torch.save({"model": {"a": torch.rand(1000)}}, path)
            content = bytearray(path.read_bytes())
            change(content)
            path.write_bytes(content)

        return make

    def poke(mark: bytes, offset: int, value: bytes, *, last: bool = True) -> Callable[[bytearray], None]:
        def change(content: bytearray) -> None:
            at = (content.rindex(mark) if last else content.index(mark)) + offset
            content[at : at + len(value)] = value

        return change

    def tarred(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo("pickle")
            entry.size = len(pickle.dumps(_Touch()))
            archive.addfile(entry, io.BytesIO(pickle.dumps(_Touch())))

    def legacy(path: Path) -> None:
        torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)

    def truncate(content: bytearray) -> None:
        del content[-100:]

    def cut_in_half(content: bytearray) -> None:
        del content[: len(content) // 2]

    return {
        "nothing at all": lambda path: path.write_bytes(b""),
        "a web page": lambda path: path.write_bytes(b"<!doctype html><title>sign in</title>"),
        "an LFS pointer": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "a bare pickle with code": lambda path: path.write_bytes(pickle.dumps(_Touch())),
        "an old PyTorch file": legacy,
        "a tar with code": tarred,
        "two letters": lambda path: path.write_bytes(b"PK"),
        "a directory without a file": lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
        "a zip bomb": lambda path: _archive(path, bytes(200_000_000), compression=zipfile.ZIP_DEFLATED),
        "compressed members": lambda path: _archive(path, empty, {"w/data/0": bytes(10**6)}, compression=8),
        "lzma members": lambda path: _archive(path, empty, {"w/data/0": bytes(10**6)}, compression=14),
        "seventy thousand members": many,
        "names of a hundred megabytes": named,
        "a pickle of twenty megabytes": lambda path: _archive(path, bytes(20 * 2**20)),
        "no pickle": lambda path: zipfile.ZipFile(path, "w").writestr("w/photo.jpg", b"x"),
        "two pickles": lambda path: _archive(path, empty, {"v/data.pkl": empty}),
        "a script of TorchScript": lambda path: _archive(path, empty, {"w/constants.pkl": empty, "w/code/a.py": b"1"}),
        "members that leave the folder": lambda path: _archive(path, empty, {"../../etc/passwd": b"x", "/etc/x": b"x"}),
        "overlapping members": patched(poke(b"PK\x01\x02", 42, bytes(4))),
        "a member beyond the end": patched(poke(b"PK\x01\x02", 42, b"\xff\xff\xff\x7f")),
        "a size that is not so": patched(poke(b"PK\x01\x02", 20, b"\xff\xff\xff\x7f" * 2)),
        "an encrypted member": patched(poke(b"PK\x01\x02", 8, b"\x01\x00")),
        "a wrong checksum": patched(poke(b"PK\x01\x02", 16, b"\x00\x01\x02\x03")),
        "a directory at the wrong place": patched(poke(b"PK\x05\x06", 16, b"\xff\xff\xff\x7f")),
        "a directory of four gigabytes": patched(poke(b"PK\x05\x06", 12, b"\xff\xff\xff\xff")),
        "too many entries told": patched(poke(b"PK\x05\x06", 8, b"\xff\xff\xff\xff")),
        "a cut end": patched(truncate),
        "a cut beginning": patched(cut_in_half),
        "a comment of code": patched(lambda content: content.extend(pickle.dumps(_Touch()))),
    }


# Archives whose tensors are no weights.


def _tensors() -> dict[str, Callable[[Path], object]]:
    good = {
        name: torch.zeros(shape)
        for name, shape in PatchConvNetSpec(embed_dim=16, depth=2, num_classes=3).shapes().items()
    }

    def changed(**tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        return good | {name.replace("__", "."): tensor for name, tensor in tensors.items()}

    contents: dict[str, object] = {
        "not finite": changed(cls_token=torch.full((1, 1, 16), torch.nan)),
        "infinite": changed(cls_token=torch.full((1, 1, 16), torch.inf)),
        "half precision": changed(cls_token=torch.zeros(1, 1, 16, dtype=torch.float16)),
        "whole numbers": changed(cls_token=torch.zeros(1, 1, 16, dtype=torch.int64)),
        "complex numbers": changed(cls_token=torch.zeros(1, 1, 16, dtype=torch.complex64)),
        "truths": changed(cls_token=torch.zeros(1, 1, 16, dtype=torch.bool)),
        "eight bits": changed(cls_token=torch.zeros(1, 1, 16).to(torch.float8_e5m2)),
        "a number for a million": changed(cls_token=torch.zeros(1).expand(1, 1, 10**6)),
        "a number for an exabyte": changed(cls_token=torch.zeros(1).expand(2**30, 2**20, 2**10)),
        "holes": changed(cls_token=torch.zeros(1, 1, 32)[..., ::2]),
        "sparse": changed(cls_token=torch.eye(3).to_sparse()),
        "sparse with a size": changed(
            cls_token=torch.sparse_coo_tensor(torch.zeros(1, 1).long(), [1.0], (2**40,), check_invariants=True)
        ),
        "one store for all": {f"t{number}": good["cls_token"] for number in range(1000)},
        "another network": {"conv1.weight": torch.zeros(8, 3, 3, 3), "fc.weight": torch.zeros(3, 8)},
        "no head": {name: tensor for name, tensor in good.items() if not name.startswith("head")},
        "a missing block": {name: tensor for name, tensor in good.items() if not name.startswith("blocks.0.norm")},
        "a wide token": changed(cls_token=torch.zeros(1, 1, 10**6)),
        "a head of a million million": changed(head__1000000000000__weight=torch.zeros(1, 16)),
        "a block of a million million": changed(blocks__1000000000000__norm1__weight=torch.zeros(16)),
        "many class tokens": changed(cls_token=torch.zeros(1, 10**6, 8), head__0__weight=torch.zeros(1, 8)),
        "sixty thousand blocks": good | {f"blocks.{number}.gamma_1": torch.zeros(1) for number in range(20_000)},
        "no dictionary": torch.zeros(3),
        "a list": [torch.zeros(3)] * 3,
        "numbers for names": {number: torch.zeros(3) for number in range(3)},
        "only settings": {"epoch": 3, "args": argparse.Namespace(lr=1)},
        "an empty model": {"model": OrderedDict()},
        "a model in a model": {"model": {"model": {"model": good}}},
    }
    return {name: lambda path, content=content: torch.save(content, path) for name, content in contents.items()}


# safetensors.


def _headers() -> dict[str, Callable[[Path], object]]:
    def header(text: bytes | str, data: bytes = b"", length: int | None = None) -> bytes:
        content = text.encode() if isinstance(text, str) else text
        return struct.pack("<Q", len(content) if length is None else length) + content + data

    def one(**changes: object) -> bytes:
        facts = {"dtype": "F32", "shape": [1, 1, 16], "data_offsets": [0, 64]} | changes
        return header(json.dumps({"cls_token": facts}), bytes(64))

    thousands = {f"t{n}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in range(200_000)}
    contents = {
        "nothing": b"",
        "too short": b"\x01\x02",
        "a header of an exabyte": header("{}", length=2**60),
        "a header of ninety megabytes": header(b"{" + b" " * 90_000_000),
        "no JSON": header("this is no JSON"),
        "deep JSON": header("[" * 100_000),
        "a pickle": pickle.dumps(_Touch()),
        "a list": header("[]"),
        "two hundred thousand tensors in one place": header(json.dumps(thousands), bytes(4)),
        "offsets beyond the end": one(data_offsets=[0, 2**40]),
        "offsets before the start": one(data_offsets=[-64, 0]),
        "offsets in reverse": one(data_offsets=[64, 0]),
        "a shape beyond all numbers": one(shape=[2**62, 2**62]),
        "a negative shape": one(shape=[-1, -16]),
        "a shape of texts": one(shape=["1", "16"]),
        "an unknown type": one(dtype="F7"),
        "another length": one(shape=[1, 1, 15]),
        "a hole": header(json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [9, 10]}}), bytes(10)),
        "not finite": save({"cls_token": torch.full((1, 1, 16), torch.nan)}),
        "eight bits": save({"cls_token": torch.zeros(1, 1, 16).to(torch.float8_e4m3fn)}),
        "complex": save({"cls_token": torch.zeros(1, 1, 16, dtype=torch.complex64)}),
        "another network": save({"conv1.weight": torch.zeros(8, 3, 3, 3)}),
        "no tensor": save({}),
    }
    return {name: lambda path, content=content: path.write_bytes(content) for name, content in contents.items()}


# Model folders whose config.json asks for what it should not.


def _write_model(folder: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        architecture="patchconvnet",
        model_args={"embed_dim": 16, "depth": 2},
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(height=32, width=32),
    )
    save_model_folder(folder, make_model("patchconvnet", 3, config.model_args), config)


def _configs() -> dict[str, Callable[[Path], object]]:
    def edit(**changes: object) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            path = folder / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))

        return change

    def settings(**model_args: object) -> Callable[[Path], None]:
        return edit(model_args={"embed_dim": 16, "depth": 2} | model_args)

    def pooled(name: str = "resnet18", **backbone_args: object) -> Callable[[Path], None]:
        return edit(architecture="attention_pooled", model_args={"backbone": name, "backbone_args": backbone_args})

    def text(content: str) -> Callable[[Path], object]:
        return lambda folder: (folder / "config.json").write_text(content)

    def pipe(name: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            (folder / name).unlink()
            os.mkfifo(folder / name)

        return change

    def link(name: str, target: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            (folder / name).unlink()
            (folder / name).symlink_to(target)

        return change

    def photos(**changes: object) -> Callable[[Path], None]:
        return edit(preprocessing={"height": 32, "width": 32} | changes)

    pickled = pickle.dumps(_Touch())
    return {
        "a thousand million blocks": settings(depth=10**9),
        "sixty thousand blocks": settings(depth=60_000),
        "a width of a thousand million": settings(embed_dim=10**9),
        "a width of sixty thousand": settings(embed_dim=60_000),
        "a width of a fraction": settings(embed_dim=16.5),
        "a negative width": settings(embed_dim=-16),
        "blocks by a list": settings(depth=[2] * 1000),
        "a setting that there is not": settings(checkpoint_path="/etc/passwd"),
        "another network": edit(architecture="resnet50"),
        "a network from the hub": edit(architecture="hf-hub:somebody/model"),
        "a network from a folder": edit(architecture="local-dir:/tmp"),
        "a backbone that is another": pooled(),
        "a backbone from the hub": pooled("hf-hub:somebody/model"),
        "a backbone with weights of the net": pooled(pretrained=True),
        "a backbone with a file": pooled(checkpoint_path="/etc/passwd"),
        "a backbone of itself": pooled("attention_pooled"),
        "a wide backbone": pooled("mobilenetv2_050", channel_multiplier=60_000.0),
        "a deep backbone": pooled("mobilenetv2_050", depth_multiplier=60_000.0),
        "a backbone of many stages": pooled("vit_tiny_patch16_224", depth=60_000),
        "photos of a thousand million": photos(height=10**9),
        "photos of no pixel": photos(width=0),
        "photos cut to nothing": photos(crop_pct=0.0),
        "photos of no mean": photos(mean=["a", "b", "c"]),
        "photos of no spread": photos(std=[0.0, 1.0, 1.0]),
        "a class twice": edit(classes=["a", "a", "b"]),
        "no class": edit(classes=[]),
        "other classes": edit(classes=["a", "b"]),
        "a class of a million letters": edit(classes=["a" * 10**6, "b"]),
        "a million classes": edit(classes=[str(number) for number in range(10**6)]),
        "no temperature": edit(temperature=0),
        "a temperature that is none": text('{"temperature": NaN}'),
        "deep JSON": text("[" * 100_000),
        "no JSON": text("architecture: resnet50"),
        "twenty megabytes": text("{}" + " " * 20_000_000),
        "a pipe for a config": pipe("config.json"),
        "a pipe for weights": pipe("model.safetensors"),
        "a device for a config": link("config.json", "/dev/zero"),
        "a device for weights": link("model.safetensors", "/dev/zero"),
        "a pickle for weights": lambda folder: (folder / "model.safetensors").write_bytes(pickled),
        "no weights": lambda folder: (folder / "model.safetensors").unlink(),
        "other weights": lambda folder: save_file({"a": torch.zeros(3)}, folder / "model.safetensors"),
    }

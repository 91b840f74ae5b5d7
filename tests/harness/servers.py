"""Servers that lie, and downloads that are killed: what lies in the cache afterwards is right, or nothing does.

    python tests/harness/servers.py lies --seeds 5    # every way to misbehave, with each seed
    python tests/harness/servers.py kills --count 200 # one download killed at random times until it is through

Prints a row of Markdown for each, and what went wrong below; exits with 1 if anything did. POSIX only.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from trials import preload, table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from conftest import Server, TinySpec, serving

from pcn_cli.errors import PcnError
from pcn_cli.models import weights
from pcn_cli.models.cached import weights_cache, weights_path
from pcn_cli.models.download import Patience
from pcn_cli.models.published import to_published
from pcn_cli.models.weights import Fetcher
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import Preprocessing

CARD = Card(
    name="tiny",
    tag="test",
    network=TinySpec(embed_dim=64, depth=3, num_classes=10),
    preprocessing=Preprocessing(height=224, width=224),
    url="http://127.0.0.1:9/deit/tiny.pth",
)
FINAL = {f"{CARD.full_name}.json", f"{CARD.full_name}.safetensors"}


def write_body(path: Path) -> bytes:
    """The published file of the card, with something beside the weights, so that it is a few hundred pieces."""
    generator = torch.Generator().manual_seed(0)
    tensors = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in CARD.network.shapes().items()}
    torch.save({"model": tensors, "pad": torch.zeros(200_000)}, path)
    return path.read_bytes()


def misbehave(body: bytes, rng: random.Random) -> dict[str, dict[str, object]]:
    """Each way a server may misbehave: what `Server` is told. Those that begin with "then" behave in the end."""
    at = rng.randrange(1, len(body) - 1)
    flipped = body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]
    cuts = [rng.randrange(1, len(body) // 3) for _ in range(3)]
    never = [rng.randrange(0, 100) for _ in range(50)]
    page = b"<!doctype html><title>sign in</title>" * 9000
    return {
        "honest": {},
        "then cut thrice": {"cuts": cuts},
        "then cut thrice, no validator": {"cuts": cuts, "etag": ""},
        "then cut, ranges ignored": {"cuts": cuts[:2], "ignore_range": True},
        "then cut at the first byte": {"cuts": [0, 1, 2, 3]},
        "then busy": {"answers": [rng.choice((408, 425, 429, 500, 502, 503, 504)) for _ in range(3)]},
        "then of unknown length": {"chunked": True},
        "then in small pieces": {"drip": rng.randrange(5_000, 50_000)},
        "then moved": {"moved": True},
        "cut always": {"cuts": never},
        "a bit flipped": {"body": flipped},
        "short": {"body": body[: rng.randrange(CARD.minimum_bytes, len(body) - 1)]},
        "far too short": {"body": body[:1000]},
        "far too long": {"body": body * 40},
        "far too long, of unknown length": {"body": body * 40, "chunked": True},
        "bytes behind the end": {"body": body + bytes(rng.randrange(1, 1000))},
        "a length that is never reached": {"claim": len(body) + rng.randrange(1, 1000)},
        "a length that is too small": {"claim": len(body) - rng.randrange(1, 1000)},
        "a page": {"body": page, "kind": "text/html"},
        "a page as bytes": {"body": page},
        "a page with the status of success after a cut": {"cuts": [len(body) // 2], "second": page},
        "an LFS pointer": {"body": b"version https://git-lfs.github.com/spec/v1\n" * 9000},
        "a zip of another kind": {"body": b"PK\x03\x04" + bytes(len(body) - 4)},
        "zeros": {"body": bytes(len(body))},
        **{f"status {status}": {"answers": [status] * 50} for status in (400, 401, 403, 404, 410, 451)},
        "busy always": {"answers": [503] * 50},
        "redirected for ever": {"redirect": "itself"},
        "redirected to a file": {"redirect": "file:///etc/passwd"},
        "redirected elsewhere": {"redirect": "http://127.0.0.2:9/tiny.pth"},
        "another file after a cut": {"cuts": [len(body) // 2], "second": flipped, "second_etag": '"two"'},
        "another file after a cut, same validator": {"cuts": [len(body) // 2], "second": flipped},
    }


def try_lie(name: str, behaviour: dict[str, object], body: bytes) -> tuple[str, float]:
    """What is wrong with the cache after a download from such a server, and the bytes sent over those of the file."""
    told = dict(behaviour)
    second, second_etag, moved = told.pop("second", None), told.pop("second_etag", None), told.pop("moved", False)
    with serving(Server(**{"body": body} | told)) as server:
        if told.get("redirect") == "itself":
            server.redirect = f"{server.url}/again/file.pth"
        if moved:
            server.redirect = f"{server.url}/moved/file.pth"
        if second is not None:
            before = server.answer

            def answer(handler: object) -> None:
                before(handler)
                server.body, server.etag = second, second_etag or server.etag

            server.answer = answer
        weights.PATIENCE = Patience(connect=5, read=5, sleep=lambda _: None)
        try:
            Fetcher(mirror=server.url).get(CARD)
            refused = ""
        except PcnError as error:
            refused = error.message
        sent = server.sent / len(body)
    visible = {path.name for path in weights_cache().iterdir() if not path.name.startswith(".")} & FINAL
    right = name == "honest" or name.startswith("then")
    if right and (refused or not holds_card(body)):
        return f"not right in the end: {refused}", sent
    if not right and refused and visible:
        return f"refused, and left {visible}", sent
    if not right and not refused and not holds_card(body):
        return "took a wrong file", sent
    return "", sent


def holds_card(body: bytes) -> bool:
    """Whether the cache holds the weights of the card, number by number."""
    from safetensors.torch import load_file

    path = weights_path(CARD.full_name)
    if not path.is_file():
        return False
    generator = torch.Generator().manual_seed(0)
    stored = to_published(load_file(path))
    wanted = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in CARD.network.shapes().items()}
    return stored.keys() == wanted.keys() and all(torch.equal(stored[name], wanted[name]) for name in wanted)


def try_kills(body: bytes, rng: random.Random, kills: int) -> tuple[str, float, int]:
    """What is wrong after one download that was killed so many times; the bytes sent over the file's, and the kills."""
    # Slow enough to be killed on its way; the last try is left alone.
    with serving(Server(body=body, drip=len(body) // 60, on_piece=lambda: time.sleep(0.005))) as server:
        made = 0
        for number in range(kills + 1):
            child = os.fork()
            if child == 0:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                try:
                    Fetcher(mirror=server.url).get(CARD)
                    os._exit(0)
                except BaseException:  # noqa: BLE001 - the parent looks at what is there
                    os._exit(1)
            if number < kills:
                time.sleep(rng.uniform(0.0, 2.0))
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    made += 1
            else:
                _, status = os.waitpid(child, 0)
                if status:
                    return "the last try failed", 0.0, made
        sent = server.sent / len(body)
    if not holds_card(body):
        return "the weights are wrong", sent, made
    left = {path.name for path in weights_cache().iterdir()} - FINAL - {f".{CARD.full_name}.safetensors.lock"}
    return f"left {sorted(left)[:3]}" if left else "", sent, made


def fresh_cache(root: Path) -> None:
    """An empty cache."""
    shutil.rmtree(root, ignore_errors=True)
    os.environ["PCN_CACHE"] = str(root)


def show(rows: list[tuple[object, ...]], wrong: list[str], seed: int) -> None:
    """The table, and what went wrong."""
    print(table(("what", "tried", "as it should be", "bytes over those of the file", "at most"), rows))
    print(f"\nseed {seed}")
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))


def main() -> None:
    """Try what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["lies", "kills"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--count", type=int, default=20, help="kills in all, two of each download")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    preload()
    os.environ.pop("PCN_OFFLINE")
    wrong: list[str] = []
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory(prefix="pcn-servers-") as folder:
        cache, body = Path(folder) / "cache", write_body(Path(folder) / "tiny.pth")
        if arguments.what == "lies":
            ratios = []
            for seed in range(arguments.seed, arguments.seed + arguments.seeds):
                for name, behaviour in misbehave(body, random.Random(seed)).items():
                    fresh_cache(cache)
                    problem, sent = try_lie(name, behaviour, body)
                    ratios += [sent] if name.startswith("then cut") and "ignored" not in name else []
                    rows.append((name, seed, problem))
                    wrong += [f"{name}, seed {seed}: {problem}"] if problem else []
            ways = len(rows) // arguments.seeds
            shown = (
                f"{len(rows):,}",
                f"{len(rows) - len(wrong):,}",
                f"{sum(ratios) / len(ratios):.2f}",
                f"{max(ratios):.2f}",
            )
            show([(f"{ways} ways of a server × {arguments.seeds} seeds", *shown)], wrong, arguments.seed)
        rng, ratios, killed, tried = random.Random(arguments.seed), [], 0, 0
        while killed < arguments.count:
            fresh_cache(cache)
            problem, sent, made = try_kills(body, rng, 2)
            killed, tried = killed + made, tried + 1
            ratios.append(sent)
            wrong += [f"download {tried}: {problem}"] if problem else []
        shown = (f"{tried:,}", f"{tried - len(wrong):,}", f"{sum(ratios) / len(ratios):.2f}", f"{max(ratios):.2f}")
        show([(f"downloads killed {killed:,} times", *shown)], wrong, arguments.seed)


if __name__ == "__main__":
    main()

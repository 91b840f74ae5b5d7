"""`pcn models` over the zoo and the cache, as a person meets it."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pcn_cli.cli.app import app
from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.models import zoo
from pcn_cli.models.zoo import CARDS
from pcn_cli.stages import models as stage


@pytest.fixture(autouse=True)
def tiny_on_the_shelf(tiny_card, monkeypatch) -> None:
    for place in (zoo, stage):
        monkeypatch.setattr(place, "CARDS", (*CARDS, tiny_card))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, words)])


def test_list_shows_every_card() -> None:
    shown = run("list")
    assert shown.exit_code == 0
    assert all(card.name in shown.stdout for card in CARDS)
    listed = json.loads(run("list", "--json").stdout)
    assert [card["name"] for card in listed] == [*(card.name for card in CARDS), "tiny"]
    assert listed[0]["full_name"] == "patchconvnet_s60.fb_in22k_ft_in1k"
    assert listed[0]["parameters"] == 25_231_096


def test_info_shows_what_a_card_knows() -> None:
    shown = run("info", "s60-512").stdout
    for fact in ("s60_512_21k.pth", "512 × 512", "85.4", "Apache-2.0", "recorded at first use", "not in the cache"):
        assert fact in shown
    assert json.loads(run("info", "s60-512", "--json").stdout)["cache"]["state"] == "not in the cache"


def test_get_prints_the_place_and_says_what_was_recorded(serve, tiny_pth) -> None:
    server = serve(tiny_pth.read_bytes(), cuts=[])
    got = run("get", "tiny", "--mirror", server.url)
    assert got.exit_code == 0
    assert Path(got.stdout.strip()).is_file()
    assert hashlib.sha256(tiny_pth.read_bytes()).hexdigest() in got.stderr
    again = json.loads(run("get", "tiny", "--offline", "--json").stdout)
    assert again["path"] == got.stdout.strip()
    assert again["source_sha256"] == hashlib.sha256(tiny_pth.read_bytes()).hexdigest()
    assert (again["first_use"], again["downloaded"]) == (False, False)


def test_get_offline_without_weights_is_refused() -> None:
    assert isinstance(run("get", "s60", "--offline").exception, DownloadError)


def test_import_then_verify(tiny_pth) -> None:
    place = Path(run("import", tiny_pth, "tiny").stdout.strip())
    assert json.loads(run("verify", "--json").stdout)[0]["state"] == "verified"
    assert "verified" in run("verify", "tiny").stdout
    content = bytearray(place.read_bytes())
    content[-1] ^= 1
    place.write_bytes(content)
    checked = run("verify", "tiny", "--json")
    assert json.loads(checked.stdout)[0]["state"] == "damaged"
    assert isinstance(checked.exception, ModelError)
    assert hashlib.sha256(content).hexdigest() in checked.exception.message


def test_import_tells_the_card_by_a_published_name(tiny_pth) -> None:
    assert json.loads(run("import", tiny_pth, "--json").stdout)["name"] == "tiny"
    nameless = tiny_pth.rename(tiny_pth.with_name("mine.pth"))
    assert json.loads(run("import", nameless, "--json").stdout)["name"] is None


def test_an_unknown_model_is_refused_by_every_command(tiny_pth) -> None:
    for words in (("info", "zzz"), ("get", "zzz"), ("import", tiny_pth, "zzz"), ("verify", "zzz")):
        assert isinstance(run(*words).exception, ModelError)


@pytest.mark.parametrize("command", ["list", "info", "get", "import", "verify"])
def test_help_has_an_example(command: str) -> None:
    assert f"pcn models {command}" in run(command, "--help").stdout

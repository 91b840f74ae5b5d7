import json

from pcn_cli.models.zoo import CARDS


def test_every_card_is_listed_as_json(pcn):
    result = pcn("models", "list", "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    listed = json.loads(result.stdout)
    assert [card["name"] for card in listed] == [card.name for card in CARDS]
    assert {card["name"]: card["input_size"] for card in listed}["s60"] == 224
    assert all(card["parameters"] > 10**6 for card in listed if card["url"])


def test_every_card_has_a_row(pcn):
    rows = pcn("models", "list").stdout.decode().splitlines()[1:]
    assert [card.name for card in CARDS] == [row.split()[0] for row in rows if not row.startswith(" ")]

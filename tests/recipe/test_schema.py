import pytest

from pcn_cli.recipe.schema import OPTIONS, SECTIONS, Recipe, parse_duration


def test_every_key_reads_its_default_from_the_default_recipe() -> None:
    for key, field in OPTIONS.items():
        assert Recipe().value(key) == field.default, key


def test_values_are_put_where_their_keys_say_and_nowhere_else() -> None:
    changed = Recipe().replace({"seed": 3, "train.lr": 0.5, "train.epochs": 2, "report.title": "x"})
    assert {key for key in OPTIONS if changed.value(key) != Recipe().value(key)} == {
        "seed",
        "train.lr",
        "train.epochs",
        "report.title",
    }
    assert Recipe().train.lr is None


def test_the_sections_are_the_stages_words() -> None:
    assert list(SECTIONS) == ["data", "split", "model", "train", "augment", "evaluate", "explain", "report"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("20m", 1200),
        ("20min", 1200),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1 h 30 m 5 s", 5405),
        ("0.5H", 1800),
    ],
)
def test_a_length_of_time_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "12:30", "m20", "-5m", "0s", "5m2h", "20 minutes", "nan", "٢٠x"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 20m or 1h30m"):
        parse_duration(text)

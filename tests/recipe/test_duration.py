import pytest

from pcn_cli.recipe.duration import parse_duration


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

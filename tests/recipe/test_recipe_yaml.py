import pytest

from pcn_cli.recipe.recipe_yaml import PlainYamlError, read_plain_yaml


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "12:30", "3e-4", "010", "0x10", "2026-01-02", "1_000", ".inf", "="]
)
def test_plain_words_stay_words(word: str) -> None:
    assert read_plain_yaml(f"a: {word}\n") == {"a": word}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_nothing_is_none(nothing: str) -> None:
    assert read_plain_yaml(f"a: {nothing}\n") == {"a": None}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert read_plain_yaml(text) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2: the key a stands twice"),
        ("t:\n  a: 1\n  b: 2\n  a: 3\n", "line 4: the key a stands twice"),
        ("- a\n- b\n", "found list"),
        ("just words", "found str"),
        ("a: [1, 2", "line 1: expected"),
        ("a: b: c\n", "line 1: mapping values are not allowed here"),
        ("? [a, b]\n: 1\n", "is no name"),
        ("a: !!python/object/apply:os.system [echo]\n", "could not determine a constructor"),
        ("a: \x00\n", "special characters are not allowed"),
        ("a: &x [*x]\n", r"line 1: aliases \(\*name\) are not read"),
        ("a: &x 1\nb: {c: *x}\n", r"line 2: aliases"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", r"line 3: aliases"),
        ("&x a: *x\n", "aliases"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PlainYamlError, match=message):
        read_plain_yaml(text)

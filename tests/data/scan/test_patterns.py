import pytest

from pcn_cli.data.scan.patterns import match_names
from pcn_cli.errors import RecipeError


def match(pattern, *files):
    return match_names(files, pattern, flag="--label-from", hint="like this")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"^[a-z]+", "cat"),
        (r"^([a-z]+)\.(\d+)", "cat"),
        (r"(x)?cat", "cat"),
        (r"^([^/]+)/", "train"),
        (r"/(.+)\.jpg", "cat.12"),
        (r"dog", None),
    ],
)
def test_the_first_group_or_all_of_it_is_found_in_the_name_or_with_a_slash_in_the_path(pattern, found):
    assert match(pattern, "train/cat.12.jpg", "dog/x/dog.jpg")[0] == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "--label-from (: no regular expression"), ("elm", "--label-from elm: matches no file name, such as a.jpg")],
)
def test_what_matches_nothing_is_refused(pattern, message):
    with pytest.raises(RecipeError) as caught:
        match(pattern, "x/a.jpg")
    assert caught.value.message.startswith(message)
    assert caught.value.hint == "like this"
    assert match("a") == []

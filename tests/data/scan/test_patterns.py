import signal
from threading import Thread

import pytest

from pcn_cli.data.scan import patterns
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
    [
        ("(", "--label-from (: no regular expression"),
        ("a{99999999999}", "--label-from a{99999999999}: no regular expression: the repetition number is too large"),
        ("(" * 5000, f"--label-from {'(' * 5000}: no regular expression: maximum recursion depth"),
        ("elm", "--label-from elm: matches no file name, such as a.jpg"),
    ],
)
def test_what_matches_nothing_is_refused(pattern, message):
    with pytest.raises(RecipeError) as caught:
        match(pattern, "x/a.jpg")
    assert caught.value.message.startswith(message)
    assert caught.value.hint == "like this"
    assert match("a") == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(a+)+$",
        r"(a|a?)+$",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        r"(.*a){25}b",
        r"^(?:a*)*(\w+)x",
        r"(a\w*)*-\1",
        r"^(?=(a+)+b)",
        r"/(?:[^/]+)+/$",
    ],
)
def test_a_pattern_that_tries_each_way_to_divide_a_name_is_ended_and_named_with_a_file(monkeypatch, pattern):
    """Such a search takes longer than anybody lives."""
    monkeypatch.setattr(patterns, "_SECONDS", 0.02)
    before, long = signal.getsignal(signal.SIGVTALRM), f"x/{'a' * 60}.jpg"
    with pytest.raises(RecipeError) as caught:
        match(pattern, "b/cat.jpg", long, "c/dog.jpg")
    assert caught.value.message == f"--label-from {pattern}: takes too long to look through {long}"
    assert "(a+)+" in caught.value.hint
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    assert signal.getsignal(signal.SIGVTALRM) is before


def test_patterns_work_outside_the_main_thread():
    found = []
    thread = Thread(target=lambda: found.extend(match("[a-z]+", "x/a1.jpg", "x/b2.jpg")))
    thread.start()
    thread.join()
    assert found == ["a", "b"]

import io
import os
import sys

import pytest
from rich.console import Console

from pcn_cli.cli import console as module
from pcn_cli.cli.console import (
    console,
    guarded_streams,
    new_table,
    out,
    print_json,
    safe,
    telling_what_stays,
    write_out,
)
from pcn_cli.errors import ResourceError


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_folds_long_words_and_loses_no_letter(width):
    name = "".join(chr(ord("a") + number % 26) for number in range(200)) + ".jpg"
    table = new_table(("file", "photos#"), [(safe(name), "7")])
    shown = io.StringIO()
    Console(file=shown, width=width, color_system=None).print(table)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "".join(line.split()[0] for line in lines[1:]) == name
    assert "…" not in shown.getvalue()


def test_a_name_is_only_cut_where_there_is_no_room_for_it(monkeypatch):
    """At 80 columns `always guessing the most frequent class` lost its beginning beside two short columns."""
    name, shown = "log-loss of the classes' shares in training", io.StringIO()
    monkeypatch.setattr(module, "out", Console(file=shown, width=80, force_terminal=True, color_system=None))
    module.show_table(("", "value#", "95 % interval#"), [(name, "1.6094", "0.5751 – 0.8274")])
    assert name in shown.getvalue()
    module.show_table(("", "value#", "what"), [(name, "1.6094", "a word " * 20)])
    assert f"…{name[-35:]}" in shown.getvalue()
    module.show_table(("", "value#", "what"), [(name, "1.6094", "a word " * 20), ("short",)])  # a row may end early
    assert shown.getvalue().count(f"…{name[-35:]}") == 2
    assert max(map(len, shown.getvalue().splitlines())) <= 80


def test_bytes_that_are_no_text_go_out_as_they_came_in(capfdbinary):
    write_out(os.fsdecode(b"na\xefve\n") + "ü\n")
    assert capfdbinary.readouterr().out == b"na\xefve\n" + "ü\n".encode()


def test_json_is_plain_ascii(capfdbinary):
    print_json({"file": os.fsdecode(b"\xef"), "label": "ü"})
    assert capfdbinary.readouterr().out == b'{\n "file": "\\udcef",\n "label": "\\u00fc"\n}\n'


@pytest.fixture(autouse=True)
def nothing_left_to_say():
    """After a test that could not write, a later one would find the text."""
    yield
    for screen in (out, console):
        screen._buffer.clear()


TEXTS = ("日本 36.2 MB – ok", "café ÷ 2 ≈ …", "emoji \U0001f600", "Ωmega, naïve, Łódź, العربية")


def stream(file, encoding="utf-8"):
    return io.TextIOWrapper(file, encoding=encoding, errors="strict", write_through=True)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "koi8-r", "utf-8"])
@pytest.mark.parametrize("text", TEXTS)
def test_what_the_encoding_lacks_is_written_by_its_number(monkeypatch, encoding, text):
    """Seen: a redirected cp1252 output ended with "a bug of pcn: UnicodeEncodeError", and the predictions were lost."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", stream(written, encoding))
    with guarded_streams():
        out.print(new_table(("file", "label"), [("a.jpg", safe(text)), ("b.jpg", "red")]), soft_wrap=True)
        sys.stdout.write(f"{text}\n")
    shown = written.getvalue().decode(encoding)
    assert shown.endswith(f"{text.encode(encoding, 'backslashreplace').decode(encoding)}\n")
    assert "b.jpg" in shown


full_disk = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")  # noqa: PTH110


@full_disk
@pytest.mark.parametrize(
    "say_it",
    [
        lambda: out.print("a line"),
        lambda: out.print(new_table(("a",), [("1",)])),
        lambda: print_json({"a": 1}),
        lambda: write_out("a,b\n"),
        lambda: sys.stdout.write("x" * 100_000),
    ],
    ids=["line", "table", "json", "csv", "much"],
)
def test_a_full_disk_below_standard_output_is_told_in_words(monkeypatch, say_it):
    """Seen: `pcn predict … > /dev/full` ended with "a bug of pcn: OSError"."""
    full = stream(open("/dev/full", "wb"))  # noqa: PTH123, SIM115
    monkeypatch.setattr(sys, "stdout", full)
    with (
        pytest.raises(ResourceError, match="standard output cannot be written: No space left") as caught,
        guarded_streams(),
    ):
        say_it()
    monkeypatch.undo()
    full.close()  # what could not be written does not fail again
    assert "free some space" in caught.value.hint


@full_disk
def test_nothing_ends_because_a_message_could_not_be_shown(monkeypatch):
    full = stream(open("/dev/full", "wb"))  # noqa: PTH123, SIM115
    monkeypatch.setattr(sys, "stderr", full)
    with guarded_streams():
        console.print("going on")
        print("a library", file=sys.stderr)  # noqa: T201
    monkeypatch.undo()
    full.close()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_who_left_ends_the_command_quietly(monkeypatch, name):
    reading, writing = os.pipe()
    os.close(reading)
    broken = stream(os.fdopen(writing, "wb"))
    monkeypatch.setattr(sys, name, broken)
    with pytest.raises(SystemExit) as left, guarded_streams():
        (out if name == "stdout" else console).print("a line")
    monkeypatch.undo()
    broken.close()
    assert left.value.code == 141


def test_a_closed_standard_output_is_told_before_any_work(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ResourceError, match="standard output is closed"), guarded_streams():
        pytest.fail("worked for nothing")


def test_where_a_result_stays_is_told_when_it_cannot_be_shown():
    with pytest.raises(ResourceError) as caught, telling_what_stays("pcn evaluate runs/a"):
        raise ResourceError("full", "run it again")
    assert caught.value.hint == "pcn evaluate runs/a"

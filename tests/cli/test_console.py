import io
import os

import pytest
from rich.console import Console

from pcn_cli.cli.console import new_table, print_json, safe, write_out


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


def test_bytes_that_are_no_text_go_out_as_they_came_in(capfdbinary):
    write_out(os.fsdecode(b"na\xefve\n") + "ü\n")
    assert capfdbinary.readouterr().out == b"na\xefve\n" + "ü\n".encode()


def test_json_is_plain_ascii(capfdbinary):
    print_json({"file": os.fsdecode(b"\xef"), "label": "ü"})
    assert capfdbinary.readouterr().out == b'{\n "file": "\\udcef",\n "label": "\\u00fc"\n}\n'

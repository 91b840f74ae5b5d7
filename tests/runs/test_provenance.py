import sys

import pytest

from pcn_cli.runs.provenance import command_line, mask_userinfo


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:token@host/deit", "https://***@host/deit"),
        ("--mirror=https://token@host:8080", "--mirror=https://***@host:8080"),
        ("http://a:p@ss@host/x@y", "http://***@host/x@y"),
        ("x=http://a:b@c y=ftp://d:e@f/", "x=http://***@c y=ftp://***@f/"),
        ("https://host/path@2x.png", "https://host/path@2x.png"),
        ("https://host?mail=a@b", "https://host?mail=a@b"),
        ("photos/a@b.jpg", "photos/a@b.jpg"),
        ("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
    ],
)
def test_names_and_passwords_in_addresses_are_masked(text, masked):
    assert mask_userinfo(text) == masked


def test_the_command_holds_no_secret(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pcn", "finetune", "my photos", "--mirror", "https://u:secret@host"])
    assert command_line() == ("pcn", "finetune", "my photos", "--mirror", "https://***@host")
    assert "secret" not in " ".join(command_line())


def test_the_module_is_shown_as_the_program(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/pcn_cli/__main__.py", "demo"])
    assert command_line() == ("pcn", "demo")

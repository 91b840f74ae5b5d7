"""`pcn predict` as a person types it: what is named, what is written, what is left untouched."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from pcn_cli.cli.app import app
from pcn_cli.cli.commands.predict import _show
from pcn_cli.files.atomic import read_csv
from pcn_cli.recipe.schema import PREDICT
from pcn_cli.stages.answers import UNLIKE, UNSURE


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two photos whose names are those that overlays of them would have."""
    folder = tmp_path / "p"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (50, 70), (200, 30 * number, 30)).save(folder / name)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("option", ["--overlay", "--sort-into"])
@pytest.mark.parametrize("target", ["p", "link"])
@pytest.mark.parametrize(
    ("words", "stdin"),
    [(["p/a.png"], b""), (["p/*.png"], b""), (["-"], b"p/a.png\n"), (["p"], b""), (["linked.png"], b"")],
    ids=["file", "glob", "stdin", "folder", "link"],
)
def test_nothing_is_written_where_a_photo_lies(pcn, photos, tiny_model, words, stdin, target, option):
    (photos.parent / "link").symlink_to("p")
    (photos.parent / "linked.png").symlink_to("p/a.png")
    before = hashes(photos)
    result = pcn("predict", *words, "--model", tiny_model, option, target, stdin=stdin)
    assert result.returncode == 6
    assert b"never written to" in result.stderr
    assert b"name a folder outside of it" in result.stderr
    assert hashes(photos) == before


@pytest.mark.parametrize("option", ["--overlay", "--sort-into"])
def test_a_new_folder_within_a_named_folder_is_refused_and_beside_a_named_photo_is_fine(
    pcn, photos, tiny_model, option
):
    before = hashes(photos)
    assert pcn("predict", "p", "--model", tiny_model, option, "p/maps").returncode == 6
    assert hashes(photos) == before
    assert pcn("predict", "p/a.png", "--model", tiny_model, option, "p/maps").returncode == 0
    assert any((photos / "maps").rglob("*.png"))


def test_a_label_folder_that_holds_a_photo_is_refused(pcn, photos, tiny_model, tmp_path):
    label = json.loads(pcn("predict", "p/a.png", "--model", tiny_model, "--json").stdout)[0]["label"]
    photos.rename(tmp_path / label)
    before = hashes(tmp_path / label)
    result = pcn("predict", f"{label}/a.png", "--model", tiny_model, "--sort-into", ".")
    assert result.returncode == 6
    assert f"{label} lies inside the photos folder".encode() in result.stderr
    assert hashes(tmp_path / label) == before


def test_a_list_may_hold_names_that_are_no_text(pcn, photos, tiny_model, tmp_path):
    name = b"p/na\xefve.png"
    try:
        (photos / "a.png").rename(tmp_path / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes only text for names")
    result = pcn("predict", "-", "--model", tiny_model, "--csv", "--overlay", "maps", stdin=name + b"\r\np/b.png\n")
    assert result.returncode == 0, result.stderr
    assert [line.split(b",")[0] for line in result.stdout.splitlines()] == [b"file", name, b"p/b.png"]
    assert (tmp_path / os.fsdecode(b"maps/na\xefve.png")).is_file()
    rows = json.loads(pcn("predict", "-", "--model", tiny_model, "--json", stdin=name).stdout)
    assert os.fsencode(rows[0]["file"]) == name
    table = pcn("predict", "-", "--model", tiny_model, stdin=name)
    assert b"na\\udcefve.png" in table.stdout


def test_csv_reads_back_as_json_says(pcn, photos, tiny_model, tmp_path):
    (photos / "b.png").rename(tmp_path / '=1,"b".png')
    words = ("predict", "p/a.png", '=1,"b".png', "gone.png", "--model", tiny_model, "--top", "2")
    answers = json.loads(pcn(*words, "--json").stdout)
    (tmp_path / "labels.csv").write_bytes(pcn(*words, "--csv").stdout)
    rows = read_csv(tmp_path / "labels.csv")
    assert [row["file"] for row in rows] == [answer["file"] for answer in answers]
    assert [row["label"] for row in rows] == [answer["label"] or "" for answer in answers]
    assert [row["p_2"] for row in rows[:2]] == [str(answer["top"][1]["p"]) for answer in answers[:2]]
    assert [row["error"] for row in rows] == ["", "", "the file does not exist"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes on Windows")
def test_a_closed_pipe_ends_quietly(photos, tiny_model, tmp_path):
    words = (sys.executable, "-m", "pcn_cli", "predict", "p", "--model", tiny_model, "--csv")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 141
    assert errors == b""


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["-"], b"\n", "no images were named"),
        (["empty"], b"", "empty holds no images"),
        (["gone.png"], b"", "gone.png does not exist"),
        (["https://a.b/c.png"], b"", "https://a.b/c.png does not exist"),
    ],
)
def test_where_nothing_can_be_read_it_is_said_why(pcn, tiny_model, tmp_path, words, stdin, message):
    (tmp_path / "empty").mkdir()
    result = pcn("predict", *words, "--model", tiny_model, stdin=stdin)
    assert (result.returncode, result.stdout) == (3, b"")
    assert result.stderr.startswith(f"error: {message}\n".encode())


def test_where_every_answer_is_an_error_it_exits_3_after_the_answers(pcn, tiny_model):
    result = pcn("predict", "gone.png", "away.png", "--model", tiny_model, "--json")
    assert result.returncode == 3
    assert [answer["error"] for answer in json.loads(result.stdout)] == ["the file does not exist"] * 2


def test_long_names_are_folded_and_not_cut(pcn, photos, tiny_model):
    name = "x" * 90 + "end.png"
    (photos / "a.png").rename(photos / name)
    result = pcn("predict", f"p/{name}", "--model", tiny_model, width=70)
    words = [line.split()[0] for line in result.stdout.decode().splitlines()[1:]]
    assert f"p/{name}" in "".join(words)
    assert "…" not in result.stdout.decode()


@pytest.fixture
def handed_over(monkeypatch, tmp_path):
    """The options that the command hands to the function, which predicts nothing."""
    got = {}

    def answer(images, **options):
        got.update(options, images=images)
        known = {"label": "x", "confidence": 1.0, "unknown": False, "top": [{"label": "x", "p": 1.0}], "sets": []}
        known |= {"reason": "", "unlike": None}
        return [{"file": "a.png", "error": None, **known}]

    monkeypatch.setattr("pcn_cli.stages.predict.predict", answer)
    monkeypatch.delenv("PCN_MIRROR", raising=False)
    return got


@pytest.mark.parametrize(
    ("words", "option", "value"),
    [
        (["--workers", "3"], "workers", 3),
        ([], "workers", 0),
        (["--mirror", "http://x.y", "--model", "s60"], "mirror", "http://x.y"),
        (["--batch-size", "7"], "batch_size", 7),
        (["--device", "cpu"], "device", "cpu"),
        (["--offline"], "offline", True),
        (["--overlay", "maps", "--look", "heat"], "look", "heat"),
    ],
)
def test_every_option_reaches_the_function(handed_over, words, option, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    result = CliRunner().invoke(app, ["predict", "a.png", *words])
    assert result.exit_code == 0, result.output
    assert handed_over[option] == value
    assert handed_over["images"] == ["a.png"]


@pytest.mark.parametrize(("source", "problem"), [("gone.png", "does not exist"), ("gone*.png", "matches no file")])
def test_a_photo_that_is_not_there_is_told_before_anything_is_imported(tmp_path, source, problem):
    """It took four seconds, of torch's import alone."""
    code = (
        "import sys; from pcn_cli.cli.app import main\n"
        f"sys.argv = ['pcn', 'predict', {source!r}, '--model', 'nano']\n"
        "try: main()\nexcept SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]
    assert f"{source} {problem}" in done.stderr


def test_a_list_stands_in_the_place_of_the_dash(handed_over):
    CliRunner().invoke(app, ["predict", "a.png", "-", "d.png"], input=b"b.png\n\nc .png\n")
    assert handed_over["images"] == ["a.png", "b.png", "c .png", "d.png"]


def test_a_mirror_without_effect_is_refused(pcn, tiny_model):
    for words in (("--model", tiny_model), ()):
        result = pcn("predict", "a.png", "--mirror", "http://127.0.0.1:9", *words)
        assert result.returncode == 2
        assert b"--mirror has no effect" in result.stderr
    assert pcn("predict", "a.png", PCN_MIRROR="http://127.0.0.1:9").returncode == 3


def test_weights_come_from_the_mirror(pcn, photos):
    asked = []

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/deit"
        result = pcn("predict", "p/a.png", "--model", "s60", "--mirror", address)
        server.shutdown()
        thread.join()
    assert result.returncode == 5
    assert asked
    assert all(path.startswith("/deit/") for path in asked)


def test_csv_has_a_column_per_rank(pcn, photos, tiny_model):
    shown = pcn("predict", "p/a.png", "--model", tiny_model, "--csv", "--top", "3").stdout.decode()
    header = next(csv.reader(io.StringIO(shown)))
    ranked = ["label_1", "p_1", "label_2", "p_2", "label_3", "p_3"]
    assert header == ["file", "label", "confidence", "unknown", "reason", "unlike", *ranked, "error"]


def test_a_map_is_drawn_only_where_there_is_a_folder_for_it(pcn, photos, tiny_model, tmp_path):
    refused = pcn("predict", "p/a.png", "--model", tiny_model, "--map", "evidence")
    expected = b"error: --map evidence has no effect without --overlay\n  try: add --overlay DIR\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, b"", expected)
    for kind in ("look", "evidence"):
        assert pcn("predict", "p", "--model", tiny_model, "--overlay", kind, "--map", kind).returncode == 0
    assert pcn("predict", "p", "--model", tiny_model, "--overlay", "plain").returncode == 0
    assert hashes(tmp_path / "plain") == hashes(tmp_path / "look")
    assert not set(hashes(tmp_path / "look").values()) & set(hashes(tmp_path / "evidence").values())


def test_every_option_has_the_sentence_of_its_definition():
    options = {option.name: option for option in get_command(app).commands["predict"].params}
    assert list(options) == ["images", *PREDICT, "queue", "output", "strict", "as_csv", "json"]
    for name, field in PREDICT.items():
        assert (options[name].help, options[name].opts) == (field.sentence, [field.flag_name])
        assert options[name].default == field.default


UNREADABLE = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "truncated": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize(
    ("fault", "form"),
    [*((fault, ()) for fault in UNREADABLE), *(("empty", (form,)) for form in ("--json", "--csv", "-q"))],
)
def test_photos_without_an_answer_are_told_beside_the_answers(pcn, photos, tiny_model, fault, form):
    """Seen: `pcn predict good.png missing.png --csv` said nothing on standard error, and left with 0."""
    UNREADABLE[fault](photos / "c.png")
    named = ("p/a.png", "p/b.png", "p/c.png")
    result = pcn("predict", *named, "--model", tiny_model, *form)
    assert result.returncode == 0
    assert b"warning: 1 of 3 images could not be read: p/c.png (" in result.stderr
    assert (b"; --load-truncated answers truncated ones" in result.stderr) == (fault == "truncated")
    strict = pcn("predict", *named, "--model", tiny_model, "--strict", *form)
    assert strict.returncode == 3
    assert b"error: 1 of 3 images could not be read: p/c.png (" in strict.stderr
    assert strict.stdout == result.stdout
    assert strict.stdout.count(b"class ") >= 2


def test_strict_is_content_where_all_are_answered(pcn, photos, tiny_model):
    result = pcn("predict", "p", "--model", tiny_model, "--strict", "-q")
    assert (result.returncode, result.stderr) == (0, b"")


def test_many_photos_without_an_answer_are_counted(pcn, photos, tiny_model):
    result = pcn("predict", "p/a.png", *(f"p/{number}.png" for number in range(7)), "--model", tiny_model)
    assert b"warning: 7 of 8 images could not be read: p/0.png (" in result.stderr
    assert b", and 4 more\n" in result.stderr


@pytest.mark.parametrize("option", ["--overlay", "--sort-into"])
@pytest.mark.parametrize("target", ["letter", "letter/deep"])
def test_a_file_in_the_place_of_a_folder_is_told_before_the_model_is_read(pcn, photos, tmp_path, option, target):
    """Seen: the advice to name another place with --output, which predict does not have."""
    (tmp_path / "letter").touch()
    result = pcn("predict", "p", "--model", "nano", option, target)
    assert result.returncode == 6
    assert b"letter is a file, not a folder" in result.stderr
    assert f"try: name another folder with {option} DIR".encode() in result.stderr
    assert result.stdout == b""


@pytest.mark.parametrize("name", ["s60", "nano"])
def test_a_folder_never_stands_in_the_place_of_a_card(pcn, photos, tmp_path, name):
    """Seen: a run folder called s60 in the current folder was taken for the model s60."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "run.json").write_text("{}")
    card = pcn("predict", "p", "--model", name, "--offline")
    assert card.returncode == (0 if name == "nano" else 5)
    assert pcn("predict", "p", "--model", f"./{name}").returncode == 8


def test_what_is_unlike_anything_learned_has_its_star_also_where_the_answer_is_unknown(capsys):
    """Seen: the line below the table counted stars that no row had."""
    top = [{"label": "roses", "p": 0.6}, {"label": "tulips", "p": 0.4}]
    answers = [
        {"file": "car.jpg", "label": "unknown", "unknown": True, "reason": UNLIKE, "error": None, "top": top},
        {"file": "rose.jpg", "label": "unknown", "unknown": True, "reason": UNSURE, "error": None, "top": top},
    ]
    _show([answer | {"confidence": 0.6} for answer in answers])
    text = capsys.readouterr()
    car, rose = (line for line in text.out.splitlines() if ".jpg" in line)
    assert "unknown *" in car
    assert "*" not in rose
    assert "* unlike anything learned, 1 of 2" in text.err
    assert "unknown, 1 of 2: not sure enough to be answered" in text.err

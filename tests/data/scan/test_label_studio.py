import json
from dataclasses import replace

import pytest

from pcn_cli.data.scan.decisions import read_decisions
from pcn_cli.data.scan.label_studio import make_tasks, make_view
from pcn_cli.errors import DataError
from pcn_cli.records.desk import Card, Desk

CARDS = tuple(
    Card(file=file, sha256=f"{n:064}", looks_like="cat", p_looks_like=0.4, why="unsure")
    for n, file in enumerate(("a b&c.jpg", "d.jpg", "e.jpg"))
)
DESK = Desk(cards=CARDS, classes=("cat", '"dog"'), command="", folder="new photos")


def annotate(task, label, **facts):
    value = {"type": "choices", "from_name": "label", "to_name": "image", "value": {"choices": [label]}}
    return task | {"annotations": [{"result": [value], **facts}]}


def test_labels_given_in_label_studio_come_back_as_additions(tmp_path):
    tasks = make_tasks(DESK, model="run-1")
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=new%20photos/a%20b%26c.jpg"
    assert tasks[0]["predictions"][0]["result"][0]["value"] == {"choices": ["cat"]}
    exported = [annotate(tasks[0], "dog"), annotate(tasks[1], "cat", was_cancelled=True), tasks[2]]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported), encoding="utf-8")
    (one,) = read_decisions(path)
    assert (one.file, one.sha256, one.folder) == ("a b&c.jpg", "0" * 64, "new photos")
    assert (one.decision, one.new_label) == ("add", "dog")


def test_names_that_are_no_text_are_tasks_too():
    file = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    (task,) = make_tasks(replace(DESK, cards=(replace(CARDS[0], file=file),)), model="run-1")
    assert task["data"]["image"].endswith("/caf%E9.jpg")


def test_the_interface_names_every_class():
    assert "<Choice value='\"dog\"'/>" in make_view(DESK.classes)


@pytest.mark.parametrize("text", ["[", "{}x", '["a"]', '[{"annotations": [{"result": [{"type": "choices"}]}]}]'])
def test_what_is_no_export_is_refused(tmp_path, text):
    path = tmp_path / "export.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="no export of Label Studio"):
        read_decisions(path)

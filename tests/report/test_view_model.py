from dataclasses import replace
from math import log

import pytest

from pcn_cli.report.view_model import FRONT, TOP, build_rows


def test_rows_keep_the_order_of_the_predictions(invent):
    content = invent(7)
    rows = build_rows(content)
    assert [row.prediction.file for row in rows.all] == [prediction.file for prediction in content.predictions]
    assert [row.number for row in rows.all] == list(range(7))


def test_the_label_is_among_the_classes_shown_even_if_it_comes_last(invent):
    content = invent(1)
    classes = tuple(f"class {number}" for number in range(9))
    p = tuple(number / 36 for number in range(9))
    odd = replace(content.predictions[0], predicted="class 8", label="class 0", probabilities=p)
    row = build_rows(replace(content, classes=classes, predictions=(odd,))).all[0]
    assert [name for name, _ in row.top] == [f"class {number}" for number in range(8, 8 - TOP, -1)] + ["class 0"]
    assert row.loss == -log(1e-9)


def test_a_label_the_model_does_not_know_has_no_loss_and_a_name(invent):
    content = invent(2)
    rows = build_rows(replace(content, predictions=(replace(content.predictions[0], label="yew"),)))
    assert rows.names == (*content.classes, "yew")
    assert rows.all[0].loss is None
    assert rows.all[0].correct is False


def test_cells_count_every_labelled_picture_once(invent):
    content = invent(30)
    rows = build_rows(content)
    assert sum(rows.cells.values()) == rows.labelled == 30
    assert sum(count for (label, predicted), count in rows.cells.items() if label == predicted) == rows.right


def test_mistakes_come_first_and_the_surest_of_them_on_top(invent):
    rows = build_rows(invent(60))
    wrong = [row for row in rows.all if row.correct is False]
    assert wrong
    assert [row.correct for row in rows.front[: len(wrong)]] == [False] * min(len(wrong), FRONT)
    assert [row.prediction.confidence for row in rows.mistakes] == sorted(
        (row.prediction.confidence for row in wrong), reverse=True
    )


def test_without_labels_nothing_is_right_or_wrong(invent):
    rows = build_rows(invent(6, labelled=False))
    assert {row.correct for row in rows.all} == {None}
    assert not rows.labelled
    assert not rows.cells
    assert [row.prediction.confidence for row in rows.front] == sorted(row.prediction.confidence for row in rows.all)


def test_probabilities_that_do_not_fit_the_classes_are_refused(invent):
    content = invent(1)
    with pytest.raises(ValueError, match="has 3 probabilities for 1 classes"):
        replace(content, classes=("one",))

import numpy as np
import pytest

from pcn_cli.metrics.inputs import MultiLabel, as_truths


def test_labels_become_a_table_of_photos_and_classes():
    assert as_truths(["b;a", "", "c"], ("a", "b", "c")).tolist() == [
        [True, True, False],
        [False] * 3,
        [False, False, True],
    ]


def test_a_class_is_given_from_its_threshold_on():
    answers = MultiLabel(["a"], np.array([[0.5, 0.5]]), ("a", "b"), cuts=(0.5, 0.51))
    assert answers.decided.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], [[0.5, 0.5]], "no photos"),
        (["x"], [[0.5, 0.5]], "no class 'x'"),
        (["a"], [[0.5]], "shape"),
        (["a"], [[0.5, 1.5]], "from 0 to 1"),
        (["a"], [[0.5, np.nan]], "from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        MultiLabel(labels, np.array(probabilities), ("a", "b"))


def test_a_class_that_all_or_none_have_is_not_ranked():
    answers = MultiLabel(["a;b", "a", "a"], np.full((3, 3), 0.5), ("a", "b", "c"))
    assert answers.measured.tolist() == [0, 1]
    assert list(answers.rankings()) == ["b"]

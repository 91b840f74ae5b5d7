import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from pcn_cli.metrics import measure as rows
from pcn_cli.metrics.definitions import METRICS, OTHERS, describe
from pcn_cli.metrics.inputs import SingleLabel
from pcn_cli.records.metrics import ClassRow, Metric

CLASSES = ("daisy", "roses", "tulips")


def measure(labels: list[str], probabilities: np.ndarray, classes: tuple[str, ...], **given: Any) -> dict[str, Metric]:
    return rows.measure(SingleLabel(labels, probabilities, classes, **given))


def per_class(labels: list[str], probabilities: np.ndarray, classes: tuple[str, ...]) -> tuple[ClassRow, ...]:
    return rows.per_class(SingleLabel(labels, probabilities, classes))


def random_answers(n: int = 200, count: int = 6, seed: int = 0) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Labels, float32 probabilities that are right more often than not, and the classes (not in sorted order)."""
    rng = np.random.default_rng(seed)
    classes = tuple(f"class {count - i}" for i in range(count))
    targets = rng.integers(0, count, n)
    logits = rng.normal(0, 1, (n, count)) + 2 * np.eye(count)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [classes[i] for i in targets], probabilities.astype(np.float32), classes


def test_every_row_is_measured_in_display_order() -> None:
    labels, probabilities, classes = random_answers()

    measured = measure(labels, probabilities, classes, temperature=1.3, top_k=5, train_labels=labels)

    assert list(measured) == [row.key.format(top_k=5) for row in METRICS if row.single or row.both]
    assert list(measured) == [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "mcc",
        "log_loss",
        "log_loss_untempered",
        "brier",
        "ece",
        "ece_untempered",
        "top_5_accuracy",
        "mean_average_precision",
        "roc_auc",
        "aurc",
        "baseline_majority",
        "baseline_prior_log_loss",
    ]
    without = {"ece", "ece_untempered", "baseline_prior_log_loss"}
    for name, metric in measured.items():
        assert metric.n == 200
        assert (metric.ci_low is None) is (name in without)
        if name not in without:
            assert metric.ci_low < metric.value < metric.ci_high
            assert "interval" in metric.method


def test_values_are_those_of_scikit_learn() -> None:
    labels, probabilities, classes = random_answers()
    predicted = [classes[i] for i in probabilities.argmax(axis=1)]
    order = np.argsort(classes)  # scikit-learn wants the columns sorted by name

    measured = measure(labels, probabilities, classes, top_k=3)

    assert measured["accuracy"].value == reference.accuracy_score(labels, predicted)
    assert measured["balanced_accuracy"].value == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert measured["macro_f1"].value == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    exact = probabilities.astype(np.float64)[:, order]
    exact /= exact.sum(axis=1, keepdims=True)
    assert measured["log_loss"].value == pytest.approx(
        reference.log_loss(labels, exact, labels=sorted(classes)), rel=1e-12
    )
    onehot = np.array(labels)[:, None] == np.sort(classes)
    assert measured["mcc"].value == pytest.approx(reference.matthews_corrcoef(labels, predicted))
    assert measured["brier"].value == pytest.approx(((exact - onehot) ** 2).sum(axis=1).mean())
    assert measured["roc_auc"].value == pytest.approx(reference.roc_auc_score(labels, exact, multi_class="ovr"))
    assert measured["mean_average_precision"].value == pytest.approx(reference.average_precision_score(onehot, exact))
    assert measured["top_3_accuracy"].value == pytest.approx(
        reference.top_k_accuracy_score(labels, exact, k=3, labels=sorted(classes))
    )


@pytest.mark.parametrize(("top_k", "present"), [(1, False), (2, True), (3, False), (5, False)])
def test_top_k_only_where_it_says_something(top_k: int, present: bool) -> None:
    measured = measure(["daisy", "roses"], np.full((2, 3), 1 / 3), CLASSES, top_k=top_k)

    assert (f"top_{top_k}_accuracy" in measured) is present


def test_two_classes_are_enough() -> None:
    measured = measure(["no", "yes", "yes"], np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), ("no", "yes"))

    assert measured["accuracy"].value == pytest.approx(2 / 3)
    assert measured["balanced_accuracy"].value == pytest.approx(0.75)
    assert measured["log_loss"].value == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.4)) / 3)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_probability_of_zero_costs_much_but_not_infinitely(kind: type) -> None:
    measured = measure(["daisy", "roses"], np.array([[0, 1, 0], [0, 1, 0]], dtype=kind), CLASSES)

    assert measured["log_loss"].value == pytest.approx(-math.log(np.finfo(np.float64).eps) / 2)


def test_a_class_without_photos_does_not_count_and_does_not_break() -> None:
    labels = ["daisy", "daisy", "roses", "roses"]
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])

    measured = measure(labels, probabilities, CLASSES, top_k=2)
    rows = per_class(labels, probabilities, CLASSES)

    assert measured["balanced_accuracy"].value == pytest.approx(0.75)
    assert measured["macro_f1"].value == pytest.approx((2 / 3 + 1) / 2)
    assert (rows[2].precision, rows[2].recall, rows[2].f1, rows[2].support) == (0, None, None, 0)


def test_a_class_never_predicted_has_no_precision() -> None:
    rows = per_class(["daisy", "roses"], np.array([[1.0, 0, 0], [1, 0, 0]]), CLASSES)

    assert (rows[0].label, rows[0].precision, rows[0].recall, rows[0].support) == ("daisy", 0.5, 1.0, 1)
    assert (rows[1].precision, rows[1].recall, rows[1].f1, rows[1].support) == (None, 0.0, 0.0, 1)
    assert (rows[2].precision, rows[2].recall, rows[2].f1, rows[2].support) == (None, None, None, 0)


def test_no_mistakes_leave_a_wilson_interval_and_no_false_certainty() -> None:
    measured = measure(["daisy", "roses", "tulips"], np.eye(3), CLASSES)

    assert measured["accuracy"].value == 1
    assert measured["accuracy"].ci_low == pytest.approx(0.4385, abs=1e-4)
    assert measured["macro_f1"].value == 1
    assert measured["macro_f1"].ci_low == pytest.approx(measured["accuracy"].ci_low)


def test_no_interval_depends_on_chance() -> None:
    labels, probabilities, classes = random_answers()

    assert measure(labels, probabilities, classes, seed=3) == measure(labels, probabilities, classes, seed=4)


def test_the_baseline_guesses_what_is_most_frequent_in_training() -> None:
    labels, train = ["daisy", "daisy", "daisy", "roses"], ["roses"] * 3 + ["daisy"] * 2
    metric = measure(labels, np.eye(4, 3) + 0.1, CLASSES, train_labels=train)["baseline_majority"]

    assert metric.value == 0.25
    assert metric.n == 4
    assert metric.method == "always guessing roses, the most frequent class in training; Wilson interval"


def test_the_prior_baseline_knows_only_the_shares_of_training() -> None:
    measured = measure(["daisy", "roses"], np.eye(2, 3), CLASSES, train_labels=["daisy"] * 3 + ["roses"])

    assert measured["baseline_prior_log_loss"].value == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_figures_without_the_temperature_are_those_of_the_bare_logits() -> None:
    labels, probabilities, classes = random_answers()
    hot = np.asarray(probabilities, dtype=np.float64) ** (1 / 2.5)
    bare, tempered = measure(labels, probabilities, classes), measure(labels, hot, classes, temperature=2.5)

    assert tempered["log_loss_untempered"].value == pytest.approx(bare["log_loss"].value)
    assert tempered["ece_untempered"].value == pytest.approx(bare["ece"].value)
    assert "ece_untempered" not in bare
    assert tempered["accuracy"] == bare["accuracy"]


def test_few_photos_are_marked() -> None:
    assert measure(["daisy"] * 19, np.full((19, 3), 1 / 3), CLASSES)["accuracy"].few
    assert not measure(["daisy"] * 20, np.full((20, 3), 1 / 3), CLASSES)["accuracy"].few
    assert [row.few for row in per_class(["daisy"] * 20 + ["roses"], np.full((21, 3), 1 / 3), CLASSES)] == [
        False,
        True,
        True,
    ]


def test_confusion_has_true_classes_in_rows_in_the_given_order() -> None:
    probabilities = np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.9, 0.1, 0]])

    matrix = SingleLabel(["daisy", "roses", "daisy"], probabilities, CLASSES).matrix

    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="the model has no class 'lily'; its classes are daisy, roses, tulips"):
        measure(["lily"], np.eye(1, 3), CLASSES)
    with pytest.raises(ValueError, match="no photos"):
        measure([], np.empty((0, 3)), CLASSES)
    with pytest.raises(ValueError, match=r"shape \(1, 3\), found \(1, 2\)"):
        measure(["daisy"], np.ones((1, 2)), CLASSES)
    with pytest.raises(ValueError, match="finite"):
        measure(["daisy"], np.array([[np.nan, 0, 1]]), CLASSES)


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("accuracy", "accuracy"),
        ("macro_f1", "macro F1"),
        ("top_5_accuracy", "top-5 accuracy"),
        ("log_loss", "log-loss"),
        ("ece_untempered", "ECE at T = 1"),
        ("conformal_90_set_size", "90 % sets: set size"),
        ("cross_validated_log_loss", "cross-validated log-loss"),
        ("probe_accuracy", "probe accuracy"),
        ("tuned_mean_average_precision", "tuned mean average precision"),
        ("of_a_later_version", "of a later version"),
    ],
)
def test_every_key_has_its_title(key, title):
    assert describe(key).title == title


def test_what_is_no_share_is_shown_as_a_number():
    numbers = (
        "log_loss",
        "cross_validated_log_loss",
        "mcc",
        "temperature",
        "srg",
        "conformal_90_set_size",
        "new_kappa",
    )
    assert {describe(key).unit for key in numbers} == {"number"}
    assert {describe(key).unit for key in ("ece", "accuracy", "threshold", "cross_validated_accuracy")} == {"share"}


def test_no_two_metrics_have_one_title_and_each_finds_its_own_words():
    every = (*METRICS, *OTHERS)
    assert len({row.words.title for row in every}) == len({row.key for row in every}) == len(every)
    assert [row.key for row in every if "{" not in row.key and describe(row.key) != row.words] == []


def test_a_model_that_knows_everything_is_best_in_every_metric():
    labels, probabilities, classes = random_answers()
    perfect = np.eye(len(classes))[[classes.index(label) for label in labels]]
    usual, best = measure(labels, probabilities, classes), measure(labels, perfect, classes)
    for key, metric in usual.items():
        sign = {"higher": 1, "lower": -1}[describe(key).better]
        assert sign * best[key].value > sign * metric.value, key

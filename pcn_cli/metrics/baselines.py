"""What must be beaten: scikit-learn's DummyClassifier, which never sees a picture."""

from collections.abc import Sequence

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score

from pcn_cli.metrics.inputs import Answers
from pcn_cli.metrics.measured import mean_loss, proportion
from pcn_cli.records.metrics import Metric


def baseline(train_labels: Sequence[str], labels: Sequence[str], *, of: str = "class") -> Metric:
    """The accuracy on `labels` of always guessing the most frequent one (`of` its kind) of the training part."""
    test = list(labels)
    guessed = _fit("most_frequent", train_labels).predict(np.zeros((len(test), 1)))
    right = int(accuracy_score(test, guessed, normalize=False))
    return proportion(right, len(test), f"always guessing {guessed[0] or 'none'}, the most frequent {of} in training")


def majority_baseline(answers: Answers) -> Metric | None:
    """The accuracy of the most frequent class; None where nothing is known of the training part."""
    return baseline(answers.train_labels, answers.labels) if answers.train_labels else None


def prior_baseline(answers: Answers) -> Metric | None:
    """The log-loss of always giving the classes' shares in training; None where they are not known."""
    if not answers.train_labels:
        return None
    guess = _fit("prior", answers.train_labels)
    prior = dict(zip(guess.classes_, guess.class_prior_, strict=True))
    own = np.array([prior.get(label, 0.0) for label in answers.labels])
    return mean_loss(own, answers, "mean −ln of the label's share in training, without looking at a picture")


def _fit(strategy: str, labels: Sequence[str]) -> DummyClassifier:
    return DummyClassifier(strategy=strategy).fit(np.zeros((len(labels), 1)), list(labels))

"""The photos' labels and the model's probabilities, checked and in the form that the metrics compute from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the metrics are computed from: n photos, K classes, targets and predictions as indices into the classes."""

    targets: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, K), rows sum to 1
    predicted: NDArray[np.int64]  # (n,)
    matrix: NDArray[np.int64]  # (K, K), rows are the true classes
    top_k: int
    seed: int
    labels: Sequence[str]
    train_labels: Sequence[str] | None

    @property
    def measured(self) -> NDArray[np.int64]:
        """The classes that have photos here."""
        return np.unique(self.targets)


def collect_answers(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> Answers:
    """The checked inputs of `table.measure`, with its arguments and errors."""
    targets = _to_targets(labels, {name: i for i, name in enumerate(classes)})
    expected = (len(labels), len(classes))
    if probabilities.shape != expected:
        raise ValueError(f"expected probabilities of shape {expected}, found {probabilities.shape}")
    exact = np.asarray(probabilities, dtype=np.float64)
    if not np.isfinite(exact).all() or (exact < 0).any() or (exact.sum(axis=1) <= 0).any():
        raise ValueError("probabilities must be finite and ≥ 0, with a sum above 0")
    predicted = exact.argmax(axis=1)
    return Answers(
        targets=targets,
        probabilities=exact / exact.sum(axis=1, keepdims=True),  # float32 rows miss 1 by more than scikit-learn likes
        predicted=predicted,
        matrix=confusion_matrix(targets, predicted, labels=np.arange(len(classes))),
        top_k=top_k,
        seed=seed,
        labels=labels,
        train_labels=train_labels,
    )


def _to_targets(labels: Sequence[str], index: Mapping[str, int]) -> NDArray[np.int64]:
    unknown = sorted(set(labels) - set(index))
    if unknown:
        raise ValueError(f"the model has no class {unknown[0]!r}; its classes are {', '.join(index)}")
    if not labels:
        raise ValueError("there are no photos to measure")
    return np.array([index[label] for label in labels], dtype=np.int64)

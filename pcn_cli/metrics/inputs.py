"""The photos' labels and the model's probabilities, checked and in the form that the metrics compute from."""

from collections.abc import Iterator, Mapping, Sequence
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
    temperature: float  # that made the probabilities what they are
    top_k: int
    seed: int
    labels: Sequence[str]
    train_labels: Sequence[str] | None

    @property
    def draw(self) -> str:
        """Whether an interval draws photos class by class, in a word."""
        return "stratified"

    def rankings(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """For each class with photos, its probabilities (n,) and which photos are its own; none of one class alone."""
        if self.measured.size > 1:
            yield from ((self.probabilities[:, label], self.targets == label) for label in self.measured)

    @property
    def measured(self) -> NDArray[np.int64]:
        """The classes that have photos here."""
        return np.unique(self.targets)

    @property
    def support(self) -> NDArray[np.int64]:
        """The photos of each class, (K,)."""
        return np.asarray(self.matrix.sum(axis=1))

    @property
    def own(self) -> NDArray[np.float64]:
        """The probability of each photo's label, (n,)."""
        return np.asarray(self.probabilities[np.arange(self.targets.size), self.targets])

    @property
    def confidences(self) -> NDArray[np.float64]:
        """The probability of each photo's most probable class, (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the label, (n,)."""
        return np.asarray(self.predicted == self.targets)


def collect_answers(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
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
        temperature=temperature,
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

"""The photos' labels and the model's probabilities, checked, and as the metrics ask for them.

`SingleLabel` and `MultiLabel` answer the same questions, so most metrics are computed alike from either.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from pcn_cli.metrics.calibration import temper
from pcn_cli.records.labels import split_labels
from pcn_cli.records.model import ModelConfig

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Inputs(ABC):
    """What the metrics are computed from: n photos and K classes."""

    labels: Sequence[str]  # (n,) as written: several labels of a photo are joined
    probabilities: Floats  # (n, K)
    classes: Sequence[str]
    temperature: float  # that made the probabilities what they are
    seed: int  # of resamples
    train_labels: Sequence[str] | None  # for the baselines
    strata: Indices  # (n,) that each photo is drawn from where photos are drawn again
    counts: tuple[Indices, Indices, Indices]  # (K,) photos that have the class and are given it, have it, are given it
    multi_label: ClassVar = False
    draw: ClassVar = "stratified"  # how photos are drawn again, in a word
    truth: ClassVar = "the label"  # what the probabilities are held against, in words
    headline: ClassVar = "accuracy"  # the metric that models are compared by

    @property
    @abstractmethod
    def own(self) -> Floats:
        """The probability given to what is true: (n,) of each photo's label, or (n, K) of each class."""

    @property
    @abstractmethod
    def squares(self) -> Floats:
        """(n,) how far the probabilities lie from what is true, squared."""

    @property
    @abstractmethod
    def decisions(self) -> tuple[Floats, Truths]:
        """How probable each decision was, and whether it was right."""

    @abstractmethod
    def is_class(self, label: int) -> Truths:
        """Which photos are of the class, (n,)."""

    @property
    def measured(self) -> Indices:
        """The classes that some photos have."""
        return np.flatnonzero(self.counts[1])

    @property
    def rankable(self) -> Indices:
        """The classes that some photos have and some have not."""
        return np.flatnonzero((self.counts[1] > 0) & (self.counts[1] < len(self.labels)))

    @property
    def losses(self) -> Floats:
        """(n,) −ln of the probability given to what is true, clipped as scikit-learn does."""
        losses = -np.log(np.clip(self.own, np.finfo(np.float64).eps, 1))
        return np.asarray(losses.reshape(len(self.labels), -1).mean(axis=1))

    def rankings(self) -> Iterator[tuple[Floats, Truths]]:
        """For each class that can be ranked the photos' probabilities (n,), and which photos are of it."""
        for label in self.rankable:
            yield self.probabilities[:, label], self.is_class(label)

    def untempered(self) -> Self:
        """The inputs with the probabilities of temperature 1."""
        before = temper(self.probabilities, 1 / self.temperature, multi_label=self.multi_label)
        return replace(self, probabilities=before, temperature=1.0)

    def guessed(self) -> Self | None:
        """The inputs with the classes' shares in training as answers; None where these are unknown."""
        if not self.train_labels:
            return None
        names = (split_labels(label, multi_label=self.multi_label) for label in self.train_labels)
        counts = Counter(name for own in names for name in own)
        shares = np.array([counts[name] for name in self.classes]) / len(self.train_labels)
        return replace(self, probabilities=np.broadcast_to(shares, self.probabilities.shape))


@dataclass(frozen=True, kw_only=True)
class SingleLabel(Inputs):
    """Photos with one label each; they are drawn again class by class."""

    targets: Indices  # (n,) the labels as indices into the classes
    predicted: Indices  # (n,)
    matrix: Indices  # (K, K) photos, rows are the true classes
    top_k: int

    @property
    def own(self) -> Floats:
        return np.asarray(self.probabilities[np.arange(self.targets.size), self.targets])

    @property
    def squares(self) -> Floats:
        return np.asarray(np.maximum((self.probabilities**2).sum(axis=1) - 2 * self.own + 1, 0))

    @property
    def confidences(self) -> Floats:
        """The probability of each photo's most probable class, (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> Truths:
        """Whether the most probable class is the label, (n,)."""
        return np.asarray(self.predicted == self.targets)

    @property
    def decisions(self) -> tuple[Floats, Truths]:
        return self.confidences, self.right

    def is_class(self, label: int) -> Truths:
        return np.asarray(self.targets == label)


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Inputs):
    """Photos with any number of labels each; being of as many classes, they are drawn again without strata."""

    truths: Truths  # (n, K)
    decided: Truths  # (n, K), which classes reach their thresholds
    multi_label: ClassVar = True
    draw: ClassVar = "unstratified"
    truth: ClassVar = "what is true, over photos and classes"
    headline: ClassVar = "mean_average_precision"

    @property
    def own(self) -> Floats:
        return np.where(self.truths, self.probabilities, 1 - self.probabilities)

    @property
    def squares(self) -> Floats:
        return np.asarray(((self.probabilities - self.truths) ** 2).mean(axis=1))

    @property
    def decisions(self) -> tuple[Floats, Truths]:
        return self.probabilities.ravel(), self.truths.ravel()

    def is_class(self, label: int) -> Truths:
        return np.asarray(self.truths[:, label])


def model_inputs(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    config: ModelConfig,
    *,
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> SingleLabel | MultiLabel:
    """The checked inputs of a model's answers, of the kind that its config says; errors as below."""
    kind = (
        partial(multi_label_inputs, cuts=config.cuts)
        if config.multi_label
        else partial(single_label_inputs, top_k=top_k)
    )
    return kind(
        labels, probabilities, config.classes, temperature=config.temperature, seed=seed, train_labels=train_labels
    )


def single_label_inputs(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> SingleLabel:
    """The checked inputs where a photo has one label.

    Args:
        labels: the true class names of n photos.
        probabilities: (n, K), in the order of `classes`.
        classes: the names of the model's K classes.
        temperature: that the probabilities were made with.
        top_k: k of the top-k accuracy.
        seed: of resamples.
        train_labels: of the training part, for the baselines.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are not finite or do not fit.
    """
    _check_labels(labels, set(labels), classes)
    exact = _check_shape(probabilities, len(labels), classes)
    if not np.isfinite(exact).all() or (exact < 0).any() or (exact.sum(axis=1) <= 0).any():
        raise ValueError("probabilities must be finite and ≥ 0, with a sum above 0")
    index = {name: place for place, name in enumerate(classes)}
    targets, predicted = np.array([index[label] for label in labels], dtype=np.int64), exact.argmax(axis=1)
    matrix = confusion_matrix(targets, predicted, labels=np.arange(len(classes)))
    return SingleLabel(
        labels=labels,
        probabilities=exact / exact.sum(axis=1, keepdims=True),  # float32 rows miss 1 by more than scikit-learn likes
        classes=classes,
        temperature=temperature,
        seed=seed,
        train_labels=train_labels,
        strata=targets,
        counts=(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)),
        targets=targets,
        predicted=predicted,
        matrix=matrix,
        top_k=top_k,
    )


def multi_label_inputs(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    cuts: Sequence[float] | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> MultiLabel:
    """The checked inputs where a photo may have several labels.

    Args:
        labels: all labels of each of n photos, joined.
        probabilities: (n, K), each for itself, in the order of `classes`.
        classes: the names of the model's K classes.
        cuts: (K,) from which on a photo gets each class; 0.5 when None.
        temperature: that the probabilities were made with.
        seed: of resamples.
        train_labels: of the training part, for the baselines.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are none or do not fit.
    """
    truths = as_truths(labels, classes)
    exact = _check_shape(probabilities, len(labels), classes)
    if not ((exact >= 0) & (exact <= 1)).all():
        raise ValueError("probabilities must be finite and from 0 to 1")
    decided = exact >= np.asarray(cuts if cuts is not None else [0.5] * len(classes))
    return MultiLabel(
        labels=labels,
        probabilities=exact,
        classes=classes,
        temperature=temperature,
        seed=seed,
        train_labels=train_labels,
        strata=np.zeros(len(labels), dtype=np.int64),
        counts=((truths & decided).sum(axis=0), truths.sum(axis=0), decided.sum(axis=0)),
        truths=truths,
        decided=decided,
    )


def as_truths(labels: Sequence[str], classes: Sequence[str]) -> Truths:
    """Which photo has which class, (n, K), from each photo's joined labels.

    Raises:
        ValueError: there are no photos, or a label is no class.
    """
    own = [split_labels(label, multi_label=True) for label in labels]
    _check_labels(labels, {name for names in own for name in names}, classes)
    index = {name: place for place, name in enumerate(classes)}
    truths = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, names in enumerate(own):
        truths[row, [index[name] for name in names]] = True
    return truths


def _check_labels(labels: Sequence[str], names: set[str], classes: Sequence[str]) -> None:
    if not labels:
        raise ValueError("there are no photos to measure")
    unknown = sorted(names - set(classes))
    if unknown:
        raise ValueError(f"the model has no class {unknown[0]!r}; its classes are {', '.join(classes)}")


def _check_shape(probabilities: NDArray[np.floating], photos: int, classes: Sequence[str]) -> Floats:
    expected = (photos, len(classes))
    if probabilities.shape != expected:
        raise ValueError(f"expected probabilities of shape {expected}, found {probabilities.shape}")
    return np.asarray(probabilities, dtype=np.float64)

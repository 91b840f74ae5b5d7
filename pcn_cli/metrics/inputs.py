"""The photos' labels and the model's probabilities, checked, and as the metrics ask for them.

`SingleLabel` and `MultiLabel` answer the same questions, so most metrics are computed alike from either.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import MultiLabelBinarizer

from pcn_cli.metrics.calibration import temper
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import split_labels

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class Inputs(ABC):
    """What the metrics are computed from: n photos and K classes.

    Raises:
        ValueError: no photos, a label that is no class, or probabilities that are none or do not fit.
    """

    labels: Sequence[str]  # (n,) as written: several labels of a photo are joined
    probabilities: Floats  # (n, K), in the order of the classes
    classes: Sequence[str]
    _: KW_ONLY
    temperature: float = 1.0  # that the probabilities were made with
    seed: int = 0  # of resamples
    train_labels: Sequence[str] | None = None  # of the training part, for the baselines
    multi_label: ClassVar = False
    draw: ClassVar = "stratified"  # how photos are drawn again, in a word
    truth: ClassVar = "the label"  # what the probabilities are held against, in words
    headline: ClassVar = "accuracy"  # the metric that models are compared by

    def __post_init__(self) -> None:
        _check_labels([split_labels(label, multi_label=self.multi_label) for label in self.labels], self.classes)
        expected = (len(self.labels), len(self.classes))
        if self.probabilities.shape != expected:
            raise ValueError(f"expected probabilities of shape {expected}, found {self.probabilities.shape}")
        exact = np.asarray(self.probabilities, dtype=np.float64)
        object.__setattr__(self, "probabilities", self.checked(exact))

    @abstractmethod
    def checked(self, exact: Floats) -> Floats:
        """The probabilities (n, K) as they are used; a ValueError where they are none."""

    @property
    def strata(self) -> Indices:
        """(n,) what each photo is drawn from where photos are drawn again; all from one unless a kind says more."""
        return np.zeros(len(self.labels), dtype=np.int64)

    @property
    @abstractmethod
    def counts(self) -> tuple[Indices, Indices, Indices]:
        """(K,) photos that have the class and are given it, that have it, and that are given it."""

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

    @property
    @abstractmethod
    def truths(self) -> Truths:
        """(n, K) which photo has which class."""

    @property
    def measured(self) -> Indices:
        """The classes that some photos have."""
        return np.flatnonzero(self.counts[1])

    @property
    def losses(self) -> Floats:
        """(n,) −ln of the probability given to what is true, clipped as scikit-learn does."""
        losses = -np.log(np.clip(self.own, np.finfo(np.float64).eps, 1))
        return np.asarray(losses.reshape(len(self.labels), -1).mean(axis=1))

    def rankings(self) -> dict[str, tuple[Floats, Truths]]:
        """For each class that some photos have and some have not their probabilities (n,), and which have it."""
        ranked = np.flatnonzero((self.counts[1] > 0) & (self.counts[1] < len(self.labels)))
        truths = self.truths
        return {self.classes[label]: (self.probabilities[:, label], truths[:, label]) for label in ranked.tolist()}

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


@dataclass(frozen=True)
class SingleLabel(Inputs):
    """Photos with one label each; they are drawn again class by class."""

    _: KW_ONLY
    top_k: int = 5  # k of the top-k accuracy

    def checked(self, exact: Floats) -> Floats:
        if not np.isfinite(exact).all() or (exact < 0).any() or (exact.sum(axis=1) <= 0).any():
            raise ValueError("probabilities must be finite and ≥ 0, with a sum above 0")
        # Rows of float32 miss a sum of 1 by more than scikit-learn likes.
        return np.asarray(exact / exact.sum(axis=1, keepdims=True))

    @cached_property
    def targets(self) -> Indices:
        """(n,) the labels as indices into the classes."""
        index = {name: place for place, name in enumerate(self.classes)}
        return np.array([index[label] for label in self.labels], dtype=np.int64)

    @cached_property
    def predicted(self) -> Indices:
        """(n,) the most probable class."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def matrix(self) -> Indices:
        """(K, K) photos, rows are the true classes."""
        return np.asarray(confusion_matrix(self.targets, self.predicted, labels=np.arange(len(self.classes))))

    @property
    def strata(self) -> Indices:
        return self.targets

    @cached_property
    def counts(self) -> tuple[Indices, Indices, Indices]:
        return np.diag(self.matrix), self.matrix.sum(axis=1), self.matrix.sum(axis=0)

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

    @property
    def truths(self) -> Truths:
        return np.asarray(self.targets[:, None] == np.arange(len(self.classes)))


@dataclass(frozen=True)
class MultiLabel(Inputs):
    """Photos with any number of labels each; being of as many classes, they are drawn again without strata."""

    _: KW_ONLY
    cuts: Sequence[float] | None = None  # (K,) from which on a photo gets each class; 0.5 when None
    multi_label: ClassVar = True
    draw: ClassVar = "unstratified"
    truth: ClassVar = "what is true, over photos and classes"
    headline: ClassVar = "mean_average_precision"

    def checked(self, exact: Floats) -> Floats:
        if not ((exact >= 0) & (exact <= 1)).all():
            raise ValueError("probabilities must be finite and from 0 to 1")
        return exact

    @cached_property
    def truths(self) -> Truths:
        return as_truths(self.labels, self.classes)

    @cached_property
    def decided(self) -> Truths:
        """(n, K) which classes reach their thresholds."""
        return np.asarray(self.probabilities >= np.asarray(0.5 if self.cuts is None else self.cuts))

    @cached_property
    def counts(self) -> tuple[Indices, Indices, Indices]:
        return (self.truths & self.decided).sum(axis=0), self.truths.sum(axis=0), self.decided.sum(axis=0)

    @property
    def own(self) -> Floats:
        return np.where(self.truths, self.probabilities, 1 - self.probabilities)

    @property
    def squares(self) -> Floats:
        return np.asarray(((self.probabilities - self.truths) ** 2).mean(axis=1))

    @property
    def decisions(self) -> tuple[Floats, Truths]:
        return self.probabilities.ravel(), self.truths.ravel()


def model_inputs(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    config: ModelConfig,
    *,
    top_k: int = 5,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> SingleLabel | MultiLabel:
    """The inputs of a model's answers, of the kind that its config says."""
    kind = partial(MultiLabel, cuts=config.cuts) if config.multi_label else partial(SingleLabel, top_k=top_k)
    exact = np.asarray(probabilities, dtype=np.float64)
    return kind(labels, exact, config.classes, temperature=config.temperature, seed=seed, train_labels=train_labels)


def as_truths(labels: Sequence[str], classes: Sequence[str]) -> Truths:
    """Which photo has which class, (n, K); a ValueError where there are no photos, or a joined label is no class."""
    own = [split_labels(label, multi_label=True) for label in labels]
    _check_labels(own, classes)
    return np.asarray(MultiLabelBinarizer(classes=list(classes)).fit_transform(own), dtype=bool)


def _check_labels(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> None:
    if not labels:
        raise ValueError("there are no photos to measure")
    unknown = sorted({name for names in labels for name in names} - set(classes))
    if unknown:
        raise ValueError(f"the model has no class {unknown[0]!r}; its classes are {', '.join(classes)}")

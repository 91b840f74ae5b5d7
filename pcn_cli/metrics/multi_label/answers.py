"""The photos' labels and the model's probabilities where a photo may have several labels, checked, as tables of n × K.

Photos are drawn again without strata: a photo belongs to as many classes as it has labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.labels import split_labels

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class MultiAnswers:
    """What the metrics are computed from: n photos and K classes, each photo with any number of them."""

    truths: Truths  # (n, K)
    probabilities: Floats  # (n, K), each for itself
    decided: Truths  # (n, K), which classes reach their thresholds
    temperature: float
    seed: int
    labels: Sequence[str]  # (n,) all labels of a photo joined
    train_labels: Sequence[str] | None
    classes: Sequence[str]

    @property
    def targets(self) -> NDArray[np.int64]:
        """One stratum for all photos, (n,)."""
        return np.zeros(len(self.truths), dtype=np.int64)

    @property
    def draw(self) -> str:
        """Whether an interval draws photos class by class, in a word."""
        return "unstratified"

    @property
    def measured(self) -> NDArray[np.int64]:
        """The classes that some photos have here."""
        return np.flatnonzero(self.truths.any(axis=0))

    def rankings(self) -> Iterator[tuple[Floats, Truths]]:
        """For each class that some photos have and some have not, its probabilities (n,) and which photos have it."""
        for label in self.rankable:
            yield self.probabilities[:, label], self.truths[:, label]

    @property
    def rankable(self) -> NDArray[np.int64]:
        """The classes that some photos have here and some have not."""
        return np.flatnonzero(self.truths.any(axis=0) & ~self.truths.all(axis=0))

    def guessed(self) -> "MultiAnswers | None":
        """The same photos answered without a look, by the classes' shares in training; None where these are unknown."""
        if not self.train_labels:
            return None
        shares = as_truths(self.train_labels, self.classes).mean(axis=0)
        return replace(self, probabilities=np.tile(shares, (len(self.truths), 1)))


def collect_answers(
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    cuts: Sequence[float] | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    train_labels: Sequence[str] | None = None,
) -> MultiAnswers:
    """The checked inputs of `multi_label.table.measure`, with its arguments and errors."""
    truths = as_truths(labels, classes)
    exact = np.asarray(probabilities, dtype=np.float64)
    if exact.shape != truths.shape:
        raise ValueError(f"expected probabilities of shape {truths.shape}, found {exact.shape}")
    if not ((exact >= 0) & (exact <= 1)).all():
        raise ValueError("probabilities must be finite and from 0 to 1")
    return MultiAnswers(
        truths=truths,
        probabilities=exact,
        decided=exact >= np.asarray(cuts if cuts is not None else [0.5] * len(classes)),
        temperature=temperature,
        seed=seed,
        labels=labels,
        train_labels=train_labels,
        classes=classes,
    )


def as_truths(labels: Sequence[str], classes: Sequence[str]) -> Truths:
    """Which photo has which class, (n, K), from each photo's joined labels.

    Raises:
        ValueError: there are no photos, or a label is no class.
    """
    if not labels:
        raise ValueError("there are no photos to measure")
    own = [split_labels(label, multi_label=True) for label in labels]
    unknown = sorted({name for names in own for name in names} - set(classes))
    if unknown:
        raise ValueError(f"the model has no class {unknown[0]!r}; its classes are {', '.join(classes)}")
    index = {name: place for place, name in enumerate(classes)}
    truths = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, names in enumerate(own):
        truths[row, [index[name] for name in names]] = True
    return truths

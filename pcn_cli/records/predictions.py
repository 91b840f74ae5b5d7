"""What models say of photos: scores with their maps and the maps' numbers, answers of folds, suspect labels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pcn_cli.records.model import PatchGrid, Placement
from pcn_cli.records.photos import SplitRow, split_labels

_EVEN = 0.02  # of a patch's share of a look, by which it may differ from all others
FULL_LIFT = 8.0  # times an even spread: a look drawn at full strength, unless the maps at hand go higher


@dataclass(frozen=True, kw_only=True)
class AttentionNumbers:
    """What one pooling map says, in numbers (definitions: attention/maps.py).

    All are shares in [0, 1] except `effective_patches` (1 … N), `border_share` (1 = an even share) and the two places
    in pixels of the original upright picture.
    """

    image_share: float
    effective_patches: float
    gini: float
    mass50: float
    mass80: float
    border_share: float
    peak_x: float
    peak_y: float
    center_x: float
    center_y: float


@dataclass(frozen=True, kw_only=True)
class HidingNumbers:
    """What hiding patches in the pooling does to one prediction (definitions: attention/faithfulness.py).

    S50 are the most looked-at patches that together hold half of the look. `deletion_auc` and `insertion_auc` are areas
    under the probability of the predicted class while patches are hidden, or all others are, the most looked-at first;
    `srg` is insertion less deletion, 0 on average for a random order; `comprehensiveness` and `sufficiency` are how
    much of the probability goes when S50 is hidden, or alone kept; `flip_fraction` is the share of patches to hide
    until another class is predicted (None if that never happens);
    `look_evidence_spearman` is None where one of the two maps is level. `hidden_top` is the class predicted without S50
    and `hidden_p` its probability; `kept_p` and `random_hidden_p` are the probability of the predicted class with S50
    alone, and with as many random patches hidden.
    """

    deletion_auc: float
    insertion_auc: float
    srg: float
    comprehensiveness: float
    sufficiency: float
    flip_fraction: float | None
    look_evidence_spearman: float | None
    hidden_top: str
    hidden_p: float
    kept_p: float
    random_hidden_p: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the model says of one photo; `probabilities` are in the order of the model's classes.

    With `multi_label` the prediction joins all classes, of which there may be none, each class has a probability of its
    own, and `confidence` is that of the least sure decision. `unknown` tells whether the model's threshold withholds
    the answer; None where it has none. `unlike` is how far the photo lies from what was learned, more than 1 where it
    is unlike anything of that; None where the model remembers nothing.
    """

    file: str
    predicted: str
    confidence: float
    probabilities: tuple[float, ...]
    multi_label: bool = False
    unknown: bool | None = None
    unlike: float | None = None

    @property
    def is_unlike(self) -> bool:
        """Whether the photo is unlike anything that was learned."""
        return self.unlike is not None and self.unlike > 1

    @property
    def predicted_labels(self) -> tuple[str, ...]:
        """The classes that the model names."""
        return split_labels(self.predicted, multi_label=self.multi_label)


@dataclass(frozen=True, kw_only=True)
class Prediction(Decision):
    """A decision with what its map says in numbers, and with the photo's label where that is known.

    With `multi_label` the label joins all classes, of which there may be none. Only a photo with a label has a split.
    `hiding` is None where nothing was hidden: with `multi_label`, and in runs of older versions.
    """

    attention: AttentionNumbers
    split: str = ""
    label: str = ""
    hiding: HidingNumbers | None = None

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the label (of several, all of them); None where there is no label."""
        labelled = self.split if self.multi_label else self.label
        return self.predicted == self.label if labelled else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The photo's classes."""
        return split_labels(self.label, multi_label=self.multi_label)


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Look maps (n, h, w), each ≥ 0 and summing to 1, with a placement each, in the order of `files`.

    `evidence` (n, k, h, w) is by how much hiding each patch lowers the logit of the k = min(3, classes) most probable
    classes, whose numbers in the model's order are `evidence_classes` (n, k), the predicted one first; a label that is
    not among them stands last. The difference of two is their contrast. `deletion` and `insertion` (n, 21) are the
    probability of the predicted class with the share 0, 0.05 … 1 of the patches hidden, or alone kept, the most
    looked-at first. All four are None together, in runs of older versions. `class_looks` (n, k, h, w) are the looks of
    these classes' own tokens, where they have any.
    """

    files: tuple[str, ...]
    looks: np.ndarray
    placements: tuple[Placement, ...]
    patch_grid: PatchGrid
    evidence: np.ndarray | None = None
    evidence_classes: np.ndarray | None = None
    deletion: np.ndarray | None = None
    insertion: np.ndarray | None = None
    class_looks: np.ndarray | None = None

    @property
    def are_even(self) -> bool:
        """Whether all looks are the same everywhere, so that they say nothing."""
        even = self.looks.mean(axis=(1, 2), keepdims=True)
        return self.class_looks is None and bool(np.allclose(self.looks, even, rtol=_EVEN, atol=0))


@dataclass(frozen=True, kw_only=True)
class PhotoFeatures:
    """What the trunk makes of photos: mean tokens `features` (N, C) float32, in the order of the `rows`."""

    rows: tuple[SplitRow, ...]
    features: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Alike:
    """A training photo `other` of the class `label` that is like the photo `file`; rank 1 is the most alike of a class.

    `likeness` is the cosine of what the frozen trunk makes of the two.
    """

    ARTIFACT: ClassVar = "alike.csv"
    file: str
    label: str
    rank: int
    other: str
    likeness: float


@dataclass(frozen=True, kw_only=True)
class PhotoPlace:
    """Where a photo lies in a plane in which alike photos lie together; `x` and `y` are in [0, 1]."""

    ARTIFACT: ClassVar = "places.csv"
    file: str
    split: str
    label: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class FoldAnswer:
    """One photo's probabilities by a model that learned from none of its `fold`, in the order of the model's classes.

    Folds are numbered from 1 on; 0 are photos of which nothing was learned at all. `predicted` is the most probable.
    """

    file: str
    label: str
    fold: int
    predicted: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo whose label may be wrong; nothing is changed because of it.

    `rank` 1 is the most suspect, `suggested` the class that the photo looks like. `p_label` and `p_suggested` are the
    probabilities of a model that did not learn from the photo; the smaller `p_label`, the more suspect it is.
    """

    ARTIFACT: ClassVar = "suspects.csv"
    rank: int
    file: str
    split: str
    label: str
    suggested: str
    p_label: float
    p_suggested: float

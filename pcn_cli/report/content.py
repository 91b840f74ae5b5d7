"""What a report is made of: facts gathered by the stage; nothing here is read from disk or computed from pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pcn_cli.records.evaluation import Curves, Trust
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig, PatchGrid, Placement
from pcn_cli.records.photos import Photo, Tie, Unreadable
from pcn_cli.records.predictions import Prediction, Suspect

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LookMap:
    """Where the pooling looked on one picture: `values` (h, w), each ≥ 0, and where that grid lies on the picture."""

    values: NDArray[np.floating]
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What hiding patches of one picture in the pooling does; its patches are those of the picture's look map.

    `evidence` (k, h, w) is by how much hiding each patch lowers the logit of each of `classes`, places among those of
    the content, the predicted one first. `deletion` and `insertion` are the probability of the predicted class with the
    shares 0 … 1 of the patches hidden, or alone kept, in even steps, the most looked-at first. `class_looks` (k, h, w)
    are the looks of the classes' own tokens, where they have any.
    """

    evidence: NDArray[np.floating]
    classes: tuple[int, ...]
    deletion: NDArray[np.floating]
    insertion: NDArray[np.floating]
    class_looks: NDArray[np.floating] | None = None


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Always guessing `label`: the accuracy anything worth having must beat."""

    label: str
    accuracy: Metric


@dataclass(frozen=True, kw_only=True)
class ScanFacts:
    """What became of the files: `parts` counts photos by part and class, `ignored` files never taken for a photo.

    `photos` counts them by part: where they have several labels, that is not the sum over the classes. `leaks` are
    photos that belong with one of an earlier part, `conflicts` pictures under two labels, `copies` pictures that are
    there a second time, each with the other photo; `files` is what the scan says of the predicted photos, by file.
    """

    parts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    photos: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()
    ignored: int = 0
    leaks: tuple[Tie, ...] = ()
    conflicts: tuple[Tie, ...] = ()
    copies: tuple[Tie, ...] = ()
    files: Mapping[str, Photo] = field(default_factory=dict)

    def count(self, part: str) -> int:
        """How many photos a part has, each once however many labels it has."""
        return self.photos.get(part, sum(self.parts.get(part, {}).values()))


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """How to make the run again: the command as typed, the resolved recipe as YAML, versions, further (name, fact)."""

    command: str
    recipe: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()


class Artifacts:
    """The files of a run, each read by its name in the run folder as the type that was written; here there are none."""

    def find(self, name: str, kind: type[T]) -> T | None:  # noqa: ARG002
        """What a JSON file holds; None where there is no such file."""
        return None

    def rows(self, name: str, kind: type[T]) -> tuple[T, ...]:  # noqa: ARG002
        """The rows of a table, none where there is no such file."""
        return ()


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report shows; what is empty is left out of the page.

    Text may be hostile and paths may be absolute: the page escapes the one and shortens the other. `classes` are in the
    order of each prediction's probabilities. `figures` are SVG documents by name; `overlays` (for readers without
    JavaScript), `looks` and `hidden` (painted in the browser) belong to predictions by `file`. `part` is what was
    measured, such as "test"; it is empty for new images. `model` is what the model folder says of itself. What one page
    alone shows has no field here: the page reads it from `artifacts`.
    """

    title: str
    run: str
    classes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    part: str = "test"
    facts: tuple[str, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    baseline: Baseline | None = None
    candidates: tuple[Candidate, ...] = ()
    per_class: tuple[ClassRow, ...] = ()
    confidence: Curves | None = None
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    patch_grid: PatchGrid = field(default_factory=PatchGrid)
    looks: Mapping[str, LookMap] = field(default_factory=dict)
    hidden: Mapping[str, Hidden] = field(default_factory=dict)
    overlays: Mapping[str, Path] = field(default_factory=dict)
    scan: ScanFacts | None = None
    model: ModelConfig | None = None
    reproduce: Reproduce | None = None
    artifacts: Artifacts = field(default_factory=Artifacts)

    def __post_init__(self) -> None:
        """Raises ValueError where a prediction does not fit the classes."""
        for prediction in self.predictions:
            if len(prediction.probabilities) != len(self.classes):
                found = len(prediction.probabilities)
                raise ValueError(f"{prediction.file} has {found} probabilities for {len(self.classes)} classes")

    @property
    def multi_label(self) -> bool:
        """Whether a photo may have several labels."""
        return any(prediction.multi_label for prediction in self.predictions)

    @property
    def class_tokens(self) -> bool:
        """Whether every class has a token, and so a look, of its own."""
        declared = self.model is not None and bool(self.model.model_args.get("class_tokens"))
        return declared or any(hidden.class_looks is not None for hidden in self.hidden.values())

    @property
    def look_decides(self) -> bool:
        """Whether the answers hang on where the pooling looks, as far as that was checked."""
        trust = self.artifacts.find("trust.json", Trust)
        checks = trust.checks if trust else ()
        return not any(check.key == "uniform_attention" and check.outcome == "bad" for check in checks)

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The photos whose label may be wrong, the most suspect first."""
        return self.artifacts.rows("suspects.csv", Suspect)

    @property
    def copies(self) -> tuple[Tie, ...]:
        """Pictures that are there a second time, in any part."""
        return self.scan.copies if self.scan else ()

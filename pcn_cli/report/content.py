"""What a report is made of: facts gathered by the stage; nothing here is read from disk or computed from pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pcn_cli.records.codec import Stored
from pcn_cli.records.desk import Desk
from pcn_cli.records.evaluation import Curves, Trust
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import Photo, SkippedFile, Tie
from pcn_cli.records.predictions import AttentionMaps, Prediction, Suspect

T = TypeVar("T", bound=Stored)


@dataclass(frozen=True, kw_only=True)
class ScanFacts:
    """What became of the files: `parts` counts photos by part and class, `ignored` files never taken for a photo.

    `photos` counts them by part: where they have several labels, that is not the sum over the classes. `leaks` are
    photos that belong with one of an earlier part, `conflicts` pictures under two labels, `copies` pictures that are
    there a second time, each with the other photo; `files` is what the scan says of the predicted photos, by file.
    """

    parts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    photos: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[SkippedFile, ...] = ()
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
    """The files of a run, each read as the type that was written, which names its file; here there are none."""

    def find(self, kind: type[T]) -> T | None:  # noqa: ARG002
        """What a JSON file holds; None where there is no such file."""
        return None

    def rows(self, kind: type[T]) -> tuple[T, ...]:  # noqa: ARG002
        """The rows of a table, none where there is no such file."""
        return ()


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report shows; what is empty is left out of the page.

    Text may be hostile and paths may be absolute: the page escapes the one and shortens the other. `classes` are in the
    order of each prediction's probabilities. `figures` are SVG documents by name; `maps` (painted in the browser) and
    `overlays` (for readers without JavaScript) belong to predictions by `file`. `part` is what was measured, such as
    "test"; it is empty for new images. `majority` is the class that the metric baseline_majority always guesses, ""
    where that was not measured. `model` is what the model folder says of itself. What one page alone shows has no field
    here: the page reads it from `artifacts`.
    """

    title: str
    run: str
    classes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    part: str = "test"
    facts: tuple[str, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    majority: str = ""
    candidates: tuple[Candidate, ...] = ()
    per_class: tuple[ClassRow, ...] = ()
    confidence: Curves | None = None
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    maps: AttentionMaps | None = None
    overlays: Mapping[str, Path] = field(default_factory=dict)
    scan: ScanFacts | None = None
    model: ModelConfig | None = None
    reproduce: Reproduce | None = None
    desk: Desk | None = None
    artifacts: Artifacts = field(default_factory=Artifacts)

    def __post_init__(self) -> None:
        """Raises ValueError where a prediction does not fit the classes."""
        for prediction in self.predictions:
            if len(prediction.probabilities) != len(self.classes):
                found = len(prediction.probabilities)
                raise ValueError(f"{prediction.file} has {found} probabilities for {len(self.classes)} classes")

    @property
    def leaked(self) -> int:
        """How many of the pictures that were measured are tied to one of another part."""
        ties = self.scan.leaks if self.scan else ()
        return sum(self.part in (tie.part, tie.other_part) for tie in ties)

    @property
    def keeps_simpler(self) -> bool:
        """Whether a less simple model is ahead on the validation photos, yet was not kept: it was so by chance."""

        def standing(one: Candidate) -> float:
            return -one.val_log_loss if one.val_macro_f1 is None else one.val_macro_f1

        kept = next((place for place, one in enumerate(self.candidates) if one.kept), 0)  # the simplest stands last
        return any(standing(one) > standing(self.candidates[kept]) for one in self.candidates[:kept])

    @property
    def multi_label(self) -> bool:
        """Whether a photo may have several labels."""
        return any(prediction.multi_label for prediction in self.predictions)

    @property
    def class_tokens(self) -> bool:
        """Whether every class has a token, and so a look, of its own."""
        declared = self.model is not None and bool(self.model.model_args.get("class_tokens"))
        return declared or (self.maps is not None and self.maps.class_looks is not None)

    @cached_property
    def map_places(self) -> Mapping[str, int]:
        """The place of each picture among `maps`, by file."""
        return {file: place for place, file in enumerate(self.maps.files)} if self.maps else {}

    @property
    def look_decides(self) -> bool:
        """Whether the answers hang on where the pooling looks, as far as that was checked."""
        trust = self.artifacts.find(Trust)
        checks = trust.checks if trust else ()
        found = any(check.key == "uniform_attention" and check.outcome == "bad" for check in checks)
        return not (found or self.looks_evenly)

    @cached_property
    def looks_evenly(self) -> bool:
        """Whether the network looks at every patch alike."""
        trust = self.artifacts.find(Trust)
        checked = trust is not None and any(check.key == "even_look" for check in trust.checks)
        return checked or (self.maps is not None and self.maps.are_even)

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The photos whose label may be wrong, the most suspect first."""
        return self.artifacts.rows(Suspect)

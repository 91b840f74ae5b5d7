"""What the pages are drawn from: the predictions as rows, and what of the report already lies in its folder."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import log

from pcn_cli.records.photos import natural_order
from pcn_cli.records.predictions import FULL_LIFT, Prediction
from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean, display_names

TOP = 5
FRONT = 24  # pictures that stand in the page itself, for readers without JavaScript
_LEAST_P = 1e-9


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """What the pages are drawn from; `pictures` and `overlays` are by row number, a missing one could not be opened.

    `figures` are the paths of charts in the report by name, `pair_pictures` those of the pairs' photos by file,
    `alike_pictures` the numbers of pictures of training photos by file, `desk_pictures` the paths of the desk's.
    """

    content: ReportContent
    rows: "Rows"
    pictures: Mapping[int, "Picture"] = field(default_factory=dict)
    overlays: frozenset[int] = frozenset()
    figures: Mapping[str, str] = field(default_factory=dict)
    pair_pictures: Mapping[str, str] = field(default_factory=dict)
    alike_pictures: Mapping[str, int] = field(default_factory=dict)
    desk_pictures: Mapping[str, str] = field(default_factory=dict)
    full_lift: float = FULL_LIFT
    full_evidence: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The size in pixels of a written thumbnail, and whether a large picture lies beside it."""

    width: int
    height: int
    large: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One prediction in words that can be shown; `loss` is −ln p of the label where that is a class.

    `labels` (None where there is no label) and `predicted_labels` are the classes of label and prediction: one each, or
    any number where photos may have several. `top` has (class, probability) in falling order, labels and predictions
    among them even if they come last.
    """

    number: int
    prediction: Prediction
    file: str
    loss: float | None
    top: tuple[tuple[str, float], ...]
    labels: tuple[str, ...] | None
    predicted_labels: tuple[str, ...]

    @property
    def label(self) -> str:
        """The classes of the label in words; "" where there is none."""
        return "" if self.labels is None else ", ".join(self.labels) or "none"

    @property
    def predicted(self) -> str:
        """The predicted classes in words."""
        return ", ".join(self.predicted_labels) or "none"

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the label; None where there is no label."""
        return set(self.predicted_labels) == set(self.labels) if self.labels is not None else None


@dataclass(frozen=True)
class Rows:
    """All predictions in their order, and the class names in the model's order followed by labels it does not know."""

    all: tuple[Row, ...]
    names: tuple[str, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each name."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def in_order(self) -> tuple[str, ...]:
        """The names in the order that people count in."""
        return tuple(sorted(self.names, key=natural_order))

    @cached_property
    def right(self) -> int:
        """How many are right."""
        return sum(row.correct is True for row in self.all)

    @cached_property
    def labelled(self) -> int:
        """How many can be right or wrong."""
        return sum(row.labels is not None for row in self.all)

    @cached_property
    def cells(self) -> Counter[tuple[str, str]]:
        """Pictures per (label, predicted)."""
        return Counter((row.label, row.predicted) for row in self.all if row.label)

    @cached_property
    def front(self) -> tuple[Row, ...]:
        """The pictures to look at first."""
        return self.urgent(FRONT)

    def urgent(self, count: int) -> tuple[Row, ...]:
        """At most `count` rows: mistakes by falling loss, then the least sure."""

        def urgency(row: Row) -> tuple[bool, float]:
            wrong, loss = row.correct is False, -log(_LEAST_P) if row.loss is None else row.loss
            return not wrong, -loss if wrong else row.prediction.confidence

        return tuple(sorted(self.all, key=urgency)[:count])

    @cached_property
    def mistakes(self) -> tuple[Row, ...]:
        """The wrong ones by falling confidence in the wrong class."""
        wrong = (row for row in self.all if row.correct is False)
        return tuple(sorted(wrong, key=lambda row: -row.prediction.confidence))


def build_rows(content: ReportContent) -> Rows:
    """The rows of a report, in the order of its predictions."""
    classes = tuple(clean(name) for name in content.classes)
    files = display_names([prediction.file for prediction in content.predictions])
    rows = []
    for number, (prediction, file) in enumerate(zip(content.predictions, files, strict=True)):
        by_class = dict(zip(content.classes, prediction.probabilities, strict=True))
        top = sorted(zip(classes, prediction.probabilities, strict=True), key=lambda one: -one[1])[:TOP]
        labels = tuple(clean(name) for name in prediction.labels) if prediction.correct is not None else None
        predicted = tuple(clean(name) for name in prediction.predicted_labels)
        for name in dict.fromkeys((*prediction.labels, *prediction.predicted_labels)):
            if name in by_class and clean(name) not in (shown for shown, _ in top):
                top.append((clean(name), by_class[name]))
        rows.append(
            Row(
                number=number,
                prediction=prediction,
                file=file,
                loss=_loss(prediction, by_class),
                top=tuple(top),
                labels=labels,
                predicted_labels=predicted,
            )
        )
    named = {name for row in rows for name in (*(row.labels or ()), *row.predicted_labels)}
    return Rows(tuple(rows), (*classes, *sorted(named.difference(classes))))


def _loss(prediction: Prediction, by_class: Mapping[str, float]) -> float | None:
    """−ln p of the label; of several the mean over all classes, −ln p of what is true."""
    if not prediction.multi_label:
        own = by_class.get(prediction.label)
        return None if own is None else -log(max(own, _LEAST_P))
    if prediction.correct is None:
        return None
    given = [p if name in prediction.labels else 1 - p for name, p in by_class.items()]
    return sum(-log(max(p, _LEAST_P)) for p in given) / len(given)

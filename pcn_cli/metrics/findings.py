"""What a person should know before trusting the numbers: CHECKS has one function per finding, in order of gravity."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pcn_cli.recipe.choose import IMBALANCE
from pcn_cli.records.calibration import Calibration, ClassThreshold, Selection
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.photos import Unreadable
from pcn_cli.records.predictions import Suspect

Known = TypeVar("Known")

FEW_TEST_PHOTOS = 5
WEAK_JUDGE = 0.7  # accuracy below which a model's doubts of labels say little


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the checks look at; `train_counts` is the number of training photos of each class."""

    metrics: Mapping[str, Metric]
    per_class: Sequence[ClassRow]
    train_counts: Mapping[str, int]
    unreadable: Sequence[Unreadable] = ()
    candidates: Sequence[Candidate] = ()
    calibration: Calibration | None = None
    selection: Selection | None = None
    suspects: Sequence[Suspect] = ()
    thresholds: Sequence[ClassThreshold] = ()


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Every finding that the facts support, warnings before notes."""
    return run_checks(CHECKS, facts)


def run_checks(checks: Sequence[Callable[[Known], Finding | None]], facts: Known) -> tuple[Finding, ...]:
    """What the checks find in `facts`, warnings before notes."""
    return warnings_first(finding for check in checks if (finding := check(facts)) is not None)


def warnings_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, warnings before notes, otherwise in their order."""
    return tuple(sorted(found, key=lambda finding: finding.severity != "warning"))


def _not_above_baseline(facts: Facts) -> Finding | None:
    several = "accuracy" not in facts.metrics
    words, key, guess = _SEVERAL_WORDS if several else _ONE_WORDS
    figure, guessed = facts.metrics.get(key), facts.metrics.get(guess)
    if figure is None or guessed is None or figure.ci_low is None or figure.ci_low > guessed.value:
        return None
    interval = f"{_percent(figure.ci_low)} to {_percent(figure.ci_high or figure.value)}"
    return Finding(
        severity="warning",
        title=f"Not shown to be better than {words[0]}",
        evidence=f"The 95 % interval of the {words[1]}, {interval} on {figure.n} photos, reaches down to the baseline"
        f" of {_percent(guessed.value)}.",
        remedy="Add photos, or check that the labels can be told from the pictures.",
    )


# What is compared where photos have one label, and where they may have several.
_ONE_WORDS = (("always guessing the most frequent class", "accuracy"), "accuracy", "baseline_majority")
_SEVERAL_WORDS = (
    ("answering every photo by how frequent the classes are", "mean average precision"),
    "mean_average_precision",
    "baseline_prior_average_precision",
)


def _few_test_photos(facts: Facts) -> Finding | None:
    few = [row for row in facts.per_class if row.support < FEW_TEST_PHOTOS]
    if not few:
        return None
    return Finding(
        severity="warning",
        title=f"{count_words(len(few), 'class', 'classes')} with fewer than {FEW_TEST_PHOTOS} test photos",
        evidence=f"{join_words([f'{row.label} ({row.support})' for row in few])}: their numbers say little.",
        remedy="Add photos of these classes, or measure on more of them with --set split.test=0.3.",
    )


def _unreadable(facts: Facts) -> Finding | None:
    if not facts.unreadable:
        return None
    return Finding(
        severity="warning",
        title=f"{count_words(len(facts.unreadable), 'file', 'files')} could not be read",
        evidence=f"Left out: {join_words([f'{one.file} ({one.reason})' for one in facts.unreadable])}.",
        remedy="All are listed in unreadable.csv; replace or remove them.",
    )


def _imbalance(facts: Facts) -> Finding | None:
    counts = {name: count for name, count in facts.train_counts.items() if count}
    if len(counts) < 2:
        return None
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[most] / counts[least]
    several = ("mean average precision and macro-F1", "exact match")
    better, worse = several if facts.thresholds else ("balanced accuracy and macro-F1", "accuracy")
    if ratio < IMBALANCE:
        return None
    return Finding(
        severity="note",
        title=f"The largest class has {ratio:.1f} times the photos of the smallest",
        evidence=f"Photos to learn from: {most} {counts[most]}, {least} {counts[least]}.",
        remedy=f"Judge by {better} rather than {worse}, and add photos of the small classes.",
    )


def _tuning_did_not_help(facts: Facts) -> Finding | None:
    losses = {candidate.name: candidate.val_log_loss for candidate in facts.candidates}
    if not {"probe", "tuned"} <= losses.keys() or losses["tuned"] < losses["probe"]:
        return None
    return Finding(
        severity="note",
        title="Tuning did not beat the probe, so the probe was kept",
        evidence=f"Validation log-loss: probe {losses['probe']:.4f}, tuned {losses['tuned']:.4f}.",
        remedy="Try more --epochs or a lower --lr; with few photos the probe is often the better model.",
    )


def _target_missed(facts: Facts) -> Finding | None:
    wanted = facts.selection
    if wanted is None:
        return None
    share = _percent(wanted.target)
    if wanted.threshold is None:
        return Finding(
            severity="warning",
            title=f"No threshold reaches the wished accuracy of {share}",
            evidence=f"On {wanted.photos} validation photos even the surest answers are wrong more often, or too few "
            "to tell; every photo is answered.",
            remedy="Wish for a lower --target-accuracy, or add photos.",
        )
    accuracy = facts.metrics.get("threshold_accuracy")
    if accuracy is None or accuracy.ci_high is None or accuracy.ci_high >= wanted.target:
        return None
    return Finding(
        severity="warning",
        title=f"Answers above the threshold are right less often than the wished {share}",
        evidence=f"{_percent(accuracy.value)} of {accuracy.n} answers are right here; on the validation photos it was "
        f"{_percent(wanted.right / wanted.answered)} of {wanted.answered}.",
        remedy="Wish for a higher --target-accuracy than you need, or add photos.",
    )


def _suspects(facts: Facts) -> Finding | None:
    if not facts.suspects:
        return None
    found, accuracy = count_words(len(facts.suspects), "photo", "photos"), facts.metrics.get("accuracy")
    title, doubt = f"{found} may have a wrong label", ""
    if accuracy is not None and accuracy.value < WEAK_JUDGE:
        title = f"{found} with a label that the model contradicts"
        share = f"{_percent(accuracy.value)} of {accuracy.n} photos"
        doubt = f"The model is right on only {share}, so many of these are its own mistakes. "
    named = [f"{one.file} ({one.label}, looks like {one.suggested})" for one in facts.suspects]
    return Finding(
        severity="note",
        title=title,
        evidence=f"{doubt}The most suspect first: {join_words(named)}.",
        remedy="Look at them in this order (suspects.csv); pictures that are only hard are among them. Nothing was"
        " changed.",
    )


def _temperature_not_fitted(facts: Facts) -> Finding | None:
    if facts.calibration is None or facts.calibration.photos:
        return None
    return Finding(
        severity="note",
        title="The confidences are as the network gives them",
        evidence=f"{facts.calibration.validation_photos} validation photos are too few to fit a temperature.",
        remedy="Add photos, or give more of them to validation with --set split.val=0.3.",
    )


def _threshold_not_chosen(facts: Facts) -> Finding | None:
    unseen = [one.label for one in facts.thresholds if not one.photos]
    if not unseen:
        return None
    return Finding(
        severity="warning",
        title=f"{count_words(len(unseen), 'class', 'classes')} without a validation photo",
        evidence=f"{join_words(unseen)}: with none to choose a threshold on it is 0.5.",
        remedy="Add photos of these classes, or give more of them to validation with --set split.val=0.3.",
    )


CHECKS: tuple[Callable[[Facts], Finding | None], ...] = (
    _not_above_baseline,
    _target_missed,
    _threshold_not_chosen,
    _few_test_photos,
    _unreadable,
    _suspects,
    _imbalance,
    _tuning_did_not_help,
    _temperature_not_fitted,
)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def count_words(number: int, one: str, many: str) -> str:
    """A number with the right form of its word: 1 file, 2 files."""
    return f"{number} {one if number == 1 else many}"


def join_words(names: Sequence[str], *, longest: int = 8) -> str:
    """The names with commas between them; of many only the first, and how many more there are."""
    more = [f"and {len(names) - longest} more"] if len(names) > longest else []
    return ", ".join([*names[:longest], *more])

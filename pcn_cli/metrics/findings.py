"""What a person should know of the photos and before trusting the numbers: a check per finding, the gravest first."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pcn_cli.metrics.learning_curve import judge_outlook
from pcn_cli.metrics.selective import FEWEST
from pcn_cli.recipe.choose import IMBALANCE
from pcn_cli.records.evaluation import LearningCurve
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import Calibration, ClassThreshold, Selection
from pcn_cli.records.photos import TIES, Health, LeftOut, Part, SkippedFile, Tie
from pcn_cli.records.predictions import Suspect

FEW_TEST_PHOTOS = 5
WEAK_JUDGE = 0.7  # accuracy below which a model's doubts of labels say little


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What the checks look at, as far as it is known.

    `leaks`, `conflicts`, `alike` and `neighbours` are of photos that belong together, `train_counts` is the number of
    training photos of each class. `own_parts` are those that the photos came with, which no option changes; `missing`
    are the classes without a photo in the training part and in these. With `multi_label` a photo may have several
    labels, or none.
    """

    doubts: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()
    own_parts: Collection[Part] = ()
    missing: Mapping[Part, Sequence[str]] = field(default_factory=dict)
    leaks: Sequence[Tie] = ()
    conflicts: Sequence[Tie] = ()
    alike: int = 0
    neighbours: Sequence[Tie] = ()
    health: Health | None = None
    multi_label: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    per_class: Sequence[ClassRow] = ()
    train_counts: Mapping[str, int] = field(default_factory=dict)
    unreadable: Sequence[SkippedFile] = ()
    candidates: Sequence[Candidate] = ()
    calibration: Calibration | None = None
    selection: Selection | None = None
    suspects: Sequence[Suspect] = ()
    thresholds: Sequence[ClassThreshold] = ()
    learning_curve: LearningCurve | None = None


def findings(facts: Observations, others: Sequence[Finding] = ()) -> tuple[Finding, ...]:
    """Every finding that the facts support, and then the `others`; of all of them the warnings before the notes."""
    found = [finding for check in (*PHOTO_CHECKS, *NUMBER_CHECKS) for finding in check(facts)]
    return tuple(sorted([*found, *others], key=lambda finding: finding.severity != "warning"))


def count_words(number: int, one: str, many: str) -> str:
    """A number with the right form of its word: 1 file, 2 files."""
    return f"{number} {one if number == 1 else many}"


def join_words(names: Sequence[str], *, longest: int = 8) -> str:
    """The names with commas between them; of many only the first, and how many more there are."""
    more = [f"and {len(names) - longest} more"] if len(names) > longest else []
    return ", ".join([*names[:longest], *more])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _more_of(part: Part, facts: Observations) -> str:
    """How to get more photos into a part: an option helps only where the part is not the user's own."""
    if part in facts.own_parts:
        return f"Add photos of these classes to your own {part} part."
    what = "measure on more of them" if part == "test" else "give more of them to validation"
    return f"Add photos of these classes, or {what} with --set split.{part}=0.3."


def _keep_together(facts: Observations) -> str:
    """What to do with a series: parts of the user's own are never changed, so only he can."""
    return "put it into one part" if len(facts.own_parts) > 1 else "name the series with --group-by"


def _doubts(facts: Observations) -> Iterator[Finding]:
    yield from facts.doubts


def _untaught(facts: Observations) -> Iterator[Finding]:
    missing = facts.missing.get("train")
    if missing:
        yield _warn(
            f"{count_words(len(missing), 'class has', 'classes have')} no photo to learn from",
            f"{join_words(missing)}: all their photos are in other parts, so hardly any can be answered right.",
            "Add photos of these classes to the training part, or take the classes out of the others.",
        )


def _unchosen(facts: Observations) -> Iterator[Finding]:
    parts: dict[Part, str] = {"val": "chosen or calibrated by", "test": "measured on"}
    untaught = facts.missing.get("train") or ()
    for part, words in parts.items():
        missing = [name for name in facts.missing.get(part) or () if name not in untaught]
        if missing:
            yield _warn(
                f"The {part} part has no photo of {count_words(len(missing), 'class', 'classes')}",
                f"{join_words(missing)}: nothing is {words} photos of these classes.",
                f"Add photos of these classes to your own {part} part.",
            )


def _left_out(facts: Observations) -> Iterator[Finding]:
    if facts.left_out:
        photos = sum(one.photos for one in facts.left_out)
        told = [
            f"{f'{one.photos:,} in ' if one.photos else ''}{one.folder + '/' if one.folder else 'the folder itself'}"
            f" ({one.reason})"
            for one in facts.left_out
        ]
        yield _note(
            f"{count_words(photos, 'photo was', 'photos were')} left out" if photos else "There are empty folders",
            f"{join_words(told)}.",
            "Neither learned from nor measured. Give them labels, or a part, if they should count.",
        )


def _leaks(facts: Observations) -> Iterator[Finding]:
    if facts.leaks:
        kinds = Counter(tie.kind for tie in facts.leaks)
        counted = ", ".join(f"{count} {TIES[kind]}" for kind, count in kinds.items())
        pairs = [f"{tie.file} ({tie.part}) = {tie.other} ({tie.other_part})" for tie in facts.leaks]
        yield _warn(
            f"{count_words(len(facts.leaks), 'photo leaks', 'photos leak')} from one part into another",
            f"{counted}: {join_words(pairs)}.",
            "The figures flatter the model. Take them out of one part, or let pcn divide the photos.",
        )


def _conflicts(facts: Observations) -> Iterator[Finding]:
    if facts.conflicts:
        pairs = [
            f"{tie.file} ({tie.label or 'none'}) = {tie.other} ({tie.other_label or 'none'})" for tie in facts.conflicts
        ]
        what = "sets of labels" if facts.multi_label else "labels"
        yield _warn(
            f"{count_words(len(pairs), 'picture has', 'pictures have')} two {what}",
            f"{join_words(pairs)}.",
            "Decide which label is right and remove the other copy; one of the two answers always counts as wrong.",
        )


def _alike(facts: Observations) -> Iterator[Finding]:
    if facts.alike:
        yield _warn(
            f"{facts.alike} photos are too alike to tell copies among them",
            "More than a quarter of all look like copies of each other. What is as good as equal stays in one part;"
            " these were divided like any other.",
            f"If photos of one object or one series are among them, {_keep_together(facts)}.",
        )


def _neighbours(facts: Observations) -> Iterator[Finding]:
    if facts.neighbours:
        pairs = [f"{tie.part} {tie.file} ≈ {tie.other_part} {tie.other}" for tie in facts.neighbours]
        yield _warn(
            f"{count_words(len(pairs), 'pair', 'pairs')} of photos in two parts look like one scene to the network",
            f"{join_words(pairs)}.",
            f"Look at them (neighbours.csv). If they are of one series, {_keep_together(facts)}; the parts were left as"
            " they are.",
        )


def _small_classes(facts: Observations) -> Iterator[Finding]:
    if facts.health and facts.health.small_classes:
        small = facts.health.small_classes
        yield _warn(
            f"{count_words(len(small), 'class', 'classes')} with very few photos",
            f"{join_words(small)}: too few to learn from and to measure.",
            "Add photos until each class has at least 10, better 50.",
        )


def _flipping(facts: Observations) -> Iterator[Finding]:
    if facts.health and facts.health.against_flipping:
        yield _note(
            "Names speak against mirrored photos",
            f"{join_words(facts.health.against_flipping)}: mirrored, such a photo may belong to another class.",
            "If sides or characters matter, add --set augment.flip=false.",
        )


def _not_above_baseline(facts: Observations) -> Iterator[Finding]:
    if "accuracy" in facts.metrics:
        key, guess, words = "accuracy", "baseline_majority", "always guessing the most frequent class"
    else:
        key, guess = "mean_average_precision", "baseline_prior_average_precision"
        words = "answering every photo by how frequent the classes are"
    figure, guessed = facts.metrics.get(key), facts.metrics.get(guess)
    if figure is None or guessed is None or figure.ci_low is None or figure.ci_low > guessed.value:
        return
    interval = f"{_percent(figure.ci_low)} to {_percent(figure.ci_high or figure.value)}"
    yield _warn(
        f"Not shown to be better than {words}",
        f"The 95 % interval of the {key.replace('_', ' ')}, {interval} on {figure.n} photos, reaches down to the"
        f" baseline of {_percent(guessed.value)}.",
        "Add photos, or check that the labels can be told from the pictures.",
    )


def _few_test_photos(facts: Observations) -> Iterator[Finding]:
    few = [row for row in facts.per_class if row.support < FEW_TEST_PHOTOS]
    if few:
        yield _warn(
            f"{count_words(len(few), 'class', 'classes')} with fewer than {FEW_TEST_PHOTOS} test photos",
            f"{join_words([f'{row.label} ({row.support})' for row in few])}: their numbers say little.",
            _more_of("test", facts),
        )


def _unreadable(facts: Observations) -> Iterator[Finding]:
    if facts.unreadable:
        yield _warn(
            f"{count_words(len(facts.unreadable), 'file', 'files')} could not be read",
            f"Left out: {join_words([f'{one.file} ({one.reason})' for one in facts.unreadable])}.",
            "Replace or remove them; a run lists all in unreadable.csv, and so does pcn inspect --json."
            + (" --load-truncated uses truncated ones." if any(one.is_truncated for one in facts.unreadable) else ""),
        )


def _imbalance(facts: Observations) -> Iterator[Finding]:
    counts = {name: count for name, count in facts.train_counts.items() if count}
    if len(counts) < 2:
        return
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[most] / counts[least]
    if ratio < IMBALANCE:
        return
    better = {"balanced accuracy": "balanced_accuracy", "macro-F1": "macro_f1"}
    if facts.thresholds:
        better = {"mean average precision": "mean_average_precision", "macro-F1": "macro_f1"}
    known = [(name, facts.metrics[key]) for name, key in better.items() if key in facts.metrics]
    measured = f" Here: {', '.join(f'{name} {_percent(metric.value)}' for name, metric in known)}." if known else ""
    yield _note(
        f"The largest class has {ratio:.1f} times the photos of the smallest",
        f"Photos to learn from: {most} {counts[most]}, {least} {counts[least]}.{measured}",
        f"Judge by {' and '.join(better)} rather than {'exact match' if facts.thresholds else 'accuracy'}, and add"
        " photos of the small classes.",
    )


def _tuning_did_not_help(facts: Observations) -> Iterator[Finding]:
    compared = {candidate.name: candidate for candidate in facts.candidates}
    kept = next((candidate for candidate in facts.candidates if candidate.kept), None)
    if "tuned" not in compared or kept is None or kept.name == "tuned":
        return
    tuned, what, figures = compared["tuned"], "macro-F1", (kept.val_macro_f1, compared["tuned"].val_macro_f1)
    if kept.val_macro_f1 is None:
        what, figures = "log-loss, each after its own temperature", (kept.val_log_loss, tuned.val_log_loss)
    yield _note(
        f"Tuning did not beat the {kept.name} beyond chance, so the {kept.name} was kept",
        f"Validation {what}: {kept.name} {figures[0]:.4f}, tuned {figures[1]:.4f}.",
        "Try more --epochs or a lower --lr; with few photos the simpler model is often the better one.",
    )


def _target_missed(facts: Observations) -> Iterator[Finding]:
    wanted = facts.selection
    if wanted is None:
        return
    share, accuracy = _percent(wanted.target), facts.metrics.get("threshold_accuracy")
    if wanted.threshold is None and wanted.photos < FEWEST:
        yield _warn(
            "Too few validation photos for a threshold",
            f"There are {wanted.photos}, and the wished accuracy of {share} cannot be promised by fewer than {FEWEST}; "
            "every photo is answered.",
            "Add photos, or let more of them choose with --set split.val=0.3.",
        )
    elif wanted.threshold is None:
        yield _warn(
            f"No threshold reaches the wished accuracy of {share}",
            f"On {wanted.photos} validation photos even the surest answers are wrong more often, or too few "
            "to tell; every photo is answered.",
            "Wish for a lower --target-accuracy, or add photos.",
        )
    elif accuracy and accuracy.ci_high is not None and accuracy.ci_high < wanted.target:
        yield _warn(
            f"Answers above the threshold are right less often than the wished {share}",
            f"{_percent(accuracy.value)} of {accuracy.n} answers are right here; on the validation photos it was "
            f"{_percent(wanted.right / wanted.answered)} of {wanted.answered}.",
            "Wish for a higher --target-accuracy than you need, or add photos.",
        )


def _suspects(facts: Observations) -> Iterator[Finding]:
    if facts.suspects:
        found, accuracy = count_words(len(facts.suspects), "photo", "photos"), facts.metrics.get("accuracy")
        title, doubt = f"{found} may have a wrong label", ""
        if accuracy is not None and accuracy.value < WEAK_JUDGE:
            title = f"{found} with a label that the model contradicts"
            share = f"{_percent(accuracy.value)} of {accuracy.n} photos"
            doubt = f"The model is right on only {share}, so many of these are its own mistakes. "
        named = [f"{one.file} ({one.label}, looks like {one.suggested})" for one in facts.suspects]
        yield _note(
            title,
            f"{doubt}The most suspect first: {join_words(named)}.",
            "Look at them in this order, on the report's page Desk (suspects.csv); pictures that are only hard are"
            " among them. Nothing was changed.",
        )


def _temperature_not_fitted(facts: Observations) -> Iterator[Finding]:
    if facts.calibration and not facts.calibration.photos:
        yield _note(
            "The confidences are as the network gives them",
            f"{facts.calibration.validation_photos} validation photos are too few to fit a temperature.",
            _more_of("val", facts).replace(" of these classes", ""),
        )


def _threshold_not_chosen(facts: Observations) -> Iterator[Finding]:
    unseen = [one.label for one in facts.thresholds if not one.photos]
    if unseen:
        yield _warn(
            f"{count_words(len(unseen), 'class', 'classes')} without a validation photo",
            f"{join_words(unseen)}: with none to choose a threshold on it is 0.5.",
            _more_of("val", facts),
        )


def _more_photos(facts: Observations) -> Iterator[Finding]:
    curve = facts.learning_curve
    if curve is None:
        return
    (half, whole), gain = curve.steps[-2:], curve.gain
    words = "are right" if curve.figure == "accuracy" else "mean average precision"
    step = f"{100 * gain.value:+.1f} points ({100 * (gain.ci_low or 0):+.1f} to {100 * (gain.ci_high or 0):+.1f})"
    evidence = (
        f"With half of the training photos ({half.photos:,}) {_with_interval(half.figure)} {words}, with all"
        f" {whole.photos:,} {_with_interval(whole.figure)}: {step} on the same {gain.n:,} test photos."
    )
    if curve.most:
        most = curve.most
        evidence += (
            f" {most.label} gained most: from {_percent(most.half)} to {_percent(most.all)} of"
            f" {count_words(most.photos, 'test photo', 'test photos')}."
        )
    title, remedy = _OUTLOOKS[judge_outlook(curve)]
    if "test" in facts.own_parts:
        remedy = remedy.replace("with --set split.test=0.3", "in your own test part")
    yield _note(title, f"{evidence} Measured with logistic regression on the frozen network.", remedy)


def _with_interval(figure: Metric) -> str:
    if figure.ci_low is None or figure.ci_high is None:
        return _percent(figure.value)
    return f"{_percent(figure.value)} ({100 * figure.ci_low:.1f} to {100 * figure.ci_high:.1f})"


_OUTLOOKS = {
    "help": (
        "More photos would still help",
        "Add photos to the folders and run the same command again; each step up takes about twice as many.",
    ),
    "little": (
        "More photos of these kinds would probably change little",
        "Right labels, another --model or --tune all may bring more.",
    ),
    "open": (
        "Whether more photos would help cannot be told from so few test photos",
        "The step could be chance. Measure on more photos with --set split.test=0.3.",
    ),
}

Check = Callable[[Observations], Iterator[Finding]]
PHOTO_CHECKS: tuple[Check, ...] = (
    _doubts,
    _untaught,
    _leaks,
    _conflicts,
    _alike,
    _neighbours,
    _small_classes,
    _unchosen,
    _left_out,
    _flipping,
)
NUMBER_CHECKS: tuple[Check, ...] = (
    _not_above_baseline,
    _target_missed,
    _threshold_not_chosen,
    _few_test_photos,
    _unreadable,
    _suspects,
    _imbalance,
    _tuning_did_not_help,
    _temperature_not_fitted,
    _more_photos,
)


def _warn(title: str, evidence: str, remedy: str = "") -> Finding:
    return Finding(severity="warning", title=title, evidence=evidence, remedy=remedy)


def _note(title: str, evidence: str, remedy: str = "") -> Finding:
    return Finding(severity="note", title=title, evidence=evidence, remedy=remedy)

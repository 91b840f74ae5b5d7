"""What a person should know of the photos themselves: PHOTO_CHECKS has a function per finding, in order of gravity."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcn_cli.metrics.findings import count_words, join_words, run_checks
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import TIES, Health, Tie


@dataclass(frozen=True, kw_only=True)
class PhotoFacts:
    """What the checks look at: photos that stand apart and belong together, and what the photos are like.

    With `multi_label` a photo may have several labels, or none.
    """

    leaks: Sequence[Tie] = ()
    conflicts: Sequence[Tie] = ()
    alike: int = 0
    neighbours: Sequence[Tie] = ()
    health: Health | None = None
    multi_label: bool = False


def photo_findings(facts: PhotoFacts) -> tuple[Finding, ...]:
    """Every finding that the facts support, warnings before notes."""
    return run_checks(PHOTO_CHECKS, facts)


def _leaks(facts: PhotoFacts) -> Finding | None:
    if not facts.leaks:
        return None
    kinds = Counter(tie.kind for tie in facts.leaks)
    counted = ", ".join(f"{count} {TIES[kind]}" for kind, count in kinds.items())
    pairs = [f"{tie.part} {tie.file} = {tie.other_part} {tie.other}" for tie in facts.leaks]
    return Finding(
        severity="warning",
        title=f"{count_words(len(facts.leaks), 'photo leaks', 'photos leak')} from one part into another",
        evidence=f"{counted}: {join_words(pairs)}.",
        remedy="The figures flatter the model. Take them out of one part, or let pcn divide the photos.",
    )


def _conflicts(facts: PhotoFacts) -> Finding | None:
    if not facts.conflicts:
        return None
    pairs = [
        f"{tie.file} ({tie.label or 'none'}) = {tie.other} ({tie.other_label or 'none'})" for tie in facts.conflicts
    ]
    what = "sets of labels" if facts.multi_label else "labels"
    return Finding(
        severity="warning",
        title=f"{count_words(len(pairs), 'picture has', 'pictures have')} two {what}",
        evidence=f"{join_words(pairs)}.",
        remedy="Decide which label is right and remove the other copy; one of the two answers always counts as wrong.",
    )


def _alike(facts: PhotoFacts) -> Finding | None:
    if not facts.alike:
        return None
    return Finding(
        severity="warning",
        title=f"{facts.alike} photos are too alike to tell copies among them",
        evidence="More than a quarter of all look like copies of each other, so they were divided like any other.",
        remedy="If photos of one object or one series are among them, name the series with --group-by.",
    )


def _neighbours(facts: PhotoFacts) -> Finding | None:
    if not facts.neighbours:
        return None
    pairs = [f"{tie.part} {tie.file} ≈ {tie.other_part} {tie.other}" for tie in facts.neighbours]
    return Finding(
        severity="warning",
        title=f"{count_words(len(pairs), 'pair', 'pairs')} of photos in two parts look like one scene to the network",
        evidence=f"{join_words(pairs)}.",
        remedy="Look at them (neighbours.csv). If they are of one series, name the series with --group-by; the parts"
        " were left as they are.",
    )


def _small_classes(facts: PhotoFacts) -> Finding | None:
    if facts.health is None or not facts.health.small_classes:
        return None
    small = facts.health.small_classes
    return Finding(
        severity="warning",
        title=f"{count_words(len(small), 'class', 'classes')} with very few photos",
        evidence=f"{join_words(small)}: too few to learn from and to measure.",
        remedy="Add photos until each class has at least 10, better 50.",
    )


def _flipping(facts: PhotoFacts) -> Finding | None:
    if facts.health is None or not facts.health.against_flipping:
        return None
    return Finding(
        severity="note",
        title="Names speak against mirrored photos",
        evidence=f"{join_words(facts.health.against_flipping)}: mirrored, such a photo may belong to another class.",
        remedy="If sides or characters matter, add --set augment.flip=false.",
    )


PHOTO_CHECKS: tuple[Callable[[PhotoFacts], Finding | None], ...] = (
    _leaks,
    _conflicts,
    _alike,
    _neighbours,
    _small_classes,
    _flipping,
)

"""Whether a model that grew out of another got better: on the test photos of both, with the labels of now."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from pcn_cli.metrics.comparison import LIKELY_CHANCE
from pcn_cli.records.change import Change
from pcn_cli.records.metrics import Finding
from pcn_cli.records.photos import SplitRow
from pcn_cli.records.predictions import Prediction

_MOST_NAMED = 3  # new classes
ALARM = 0.02  # share of the old test photos whose loss, beyond chance, is worth a warning


def find_change(
    earlier: str,
    old_rows: Sequence[SplitRow],
    rows: Sequence[SplitRow],
    *,
    said_before: Mapping[str, str],
    predictions: Sequence[Prediction],
) -> Change:
    """What differs from the run of the name `earlier`, whose model `said_before` a class of each of its test photos.

    Photos are told by content; `said_before` is by SHA-256, `predictions` are of the test photos among `rows`.
    """
    old, new = ({row.sha256: row.label for row in group} for group in (old_rows, rows))
    renamed = _find_renamed(old, new)
    old, said_before = (
        {digest: renamed.get(label, label) for digest, label in group.items()} for group in (old, said_before)
    )
    classes = [set(group.values()) for group in (old, new)]
    hashes = {row.file: row.sha256 for row in rows}
    tested = {hashes[one.file]: one for one in predictions}
    own = {digest: one for digest, one in tested.items() if one.label in classes[0]}
    common = [digest for digest in own if digest in said_before]
    before = np.array([said_before[digest] == own[digest].label for digest in common], dtype=bool)
    after = np.array([bool(own[digest].correct) for digest in common], dtype=bool)
    fresh = [one for one in tested.values() if one.label not in classes[0]]
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    facts = {
        "relabelled": sum(old[digest] != label for digest, label in new.items() if digest in old),
        "added": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
        "photos": len(common),
        "before": int(before.sum()),
        "after": int(after.sum()),
        "lost": lost,
        "gained": gained,
        "new_photos": len(fresh),
        "new_right": sum(bool(one.correct) for one in fresh),
    }
    own_right = {
        name: (sum(bool(one.correct) for one in of), len(of))
        for name in sorted({one.label for one in fresh})
        if (of := [one for one in fresh if one.label == name])
    }
    names = tuple(sorted(classes[1] - classes[0])), tuple(sorted(classes[0] - classes[1]))
    p_value = float(binomtest(gained, lost + gained).pvalue) if lost + gained else 1.0
    untold = [name for name in names[0] if name not in own_right or len(own_right) > _MOST_NAMED]
    sentence = f"{_what_changed(facts, renamed, untold, names[1])}: {_what_came_of_it(facts, own_right, p_value)}"
    return Change(
        earlier=earlier, new_classes=names[0], dropped_classes=names[1], p_value=p_value, sentence=sentence, **facts
    )


def change_findings(change: Change) -> tuple[Finding, ...]:
    """A warning where photos of the old classes are lost beyond chance."""
    lost = change.before - change.after
    if change.p_value >= LIKELY_CHANCE or lost <= ALARM * change.photos:
        return ()
    return (
        Finding(
            severity="warning",
            title=f"The old classes are answered worse than by {change.earlier}",
            evidence=f"{change.sentence}.",
            remedy="Look at what was added or corrected; a new class may look like an old one.",
        ),
    )


def _find_renamed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The new names of old classes: all of whose photos that are still there have one and the same, which no old class
    had, and nobody else's photos have.
    """
    became: defaultdict[str, set[str]] = defaultdict(set)
    came: defaultdict[str, set[str]] = defaultdict(set)
    for digest, label in new.items():
        if digest in old:
            became[old[digest]].add(label)
            came[label].add(old[digest])
    earlier = set(old.values())
    pairs = ((before, next(iter(after))) for before, after in became.items() if len(after) == 1)
    return {before: after for before, after in pairs if after not in earlier and len(came[after]) == 1}


def _what_changed(
    facts: Mapping[str, int], renamed: Mapping[str, str], new: Sequence[str], dropped: Sequence[str]
) -> str:
    said = [
        *(f"{before} is called {after}" for before, after in sorted(renamed.items())),
        _count(facts["relabelled"], "label corrected", "labels corrected"),
        _count(facts["added"], "new photo", "new photos"),
        _count(facts["gone"], "photo left out", "photos left out"),
        f"new: {', '.join(new)}" if new else "",
        f"dropped: {', '.join(dropped)}" if dropped else "",
    ]
    return ", ".join(filter(None, said)) or "The same photos and labels"


def _what_came_of_it(facts: Mapping[str, int], new: Mapping[str, tuple[int, int]], p_value: float) -> str:
    """How the test photos of both are answered, and the (right, all) of each of the `new` classes."""
    said = []
    if n := facts["photos"]:
        shares = f"{_percent(facts['before'], n)} → {_percent(facts['after'], n)} %"
        chance = "could be chance" if p_value >= LIKELY_CHANCE else "is hardly chance"
        of = "old classes " if new else ""
        said.append(f"{of}{shares} right on the same {n:,} test photos, {chance}")
    else:
        said.append("no test photo in common")
    said += [f"new class {name}: {right:,} of {photos:,}" for name, (right, photos) in list(new.items())[:_MOST_NAMED]]
    if len(new) > _MOST_NAMED:
        said.append(f"all {len(new)} new classes: {facts['new_right']:,} of {facts['new_photos']:,}")
    return "; ".join(said)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}"

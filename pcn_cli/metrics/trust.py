"""Can one trust the maps? Plain verdicts over a data set, each from the numbers that stand beside it.

A check is "good" or "bad" only where there are enough photos and a 95 % interval says so; otherwise it is "open".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import ttest_1samp

from pcn_cli.metrics.definitions import described
from pcn_cli.metrics.inputs import Floats
from pcn_cli.metrics.intervals import proportion
from pcn_cli.records.evaluation import Trust, TrustCheck
from pcn_cli.records.metrics import Finding, Metric

FEWEST = 20  # photos; a verdict on fewer would be a guess
ALIKE = 0.5  # rank correlation from which two maps count as alike
STEADY = 0.5  # the same for a photo and its mirror image
_NEGLIGIBLE = 0.02  # accuracy
Outcome = Literal["good", "bad", "open"]


class _Question(NamedTuple):
    """What a check asks, the verdicts by outcome, and the finding that a bad one becomes."""

    question: str
    good: str
    bad: str
    open: str
    finding: str
    remedy: str = "Read single maps with care; the report tells what was checked."


_QUESTIONS = {
    "uniform_attention": _Question(
        "Does it matter for the answers where the network looks?",
        good="Yes: with even attention it is right less often.",
        bad="No: with even attention it is right as often. Where it looks hardly decides the answers; rather read the"
        " evidence.",
        open="Not clear: these photos are too few to tell.",
        finding="Even attention costs no accuracy: where the network looks hardly decides its answers",
        remedy="Read the evidence rather than the look: it shows what each tile adds to a class.",
    ),
    "even_look": _Question(
        "Does it matter for the answers where the network looks?",
        good="",
        bad="It looks at every tile alike, as average pooling does: the evidence alone tells where an answer comes"
        " from.",
        open="",
        finding="The network looks at every tile alike, so its maps show the evidence",
        remedy="A probe or a tuned model, where one is kept, looks at some places more than at others.",
    ),
    "permuted_attention": _Question(
        "Would looking anywhere else do as well?",
        good="No: with its attention at random places it is right less often.",
        bad="Yes: with its attention at random places it is right as often.",
        open="Not clear: these photos are too few to tell.",
        finding="Attention at random places costs no accuracy",
    ),
    "order": _Question(
        "Do the tiles it looks at most carry the answer?",
        good="Yes: hiding them first changes the answer more than hiding in a random order.",
        bad="No: a random order of hiding changes the answer more.",
        open="Not shown: hiding them first does no more than a random order, as far as these photos tell.",
        finding="Hiding what it looked at changes the answers less than hiding at random",
    ),
    "parameter_randomisation": _Question(
        "Do the maps show what was learned, rather than the picture's own contrasts?",
        good="Yes: a network that forgot everything looks elsewhere.",
        bad="No: a network that forgot everything looks at nearly the same places.",
        open="Not clear: a network that forgot everything looks at somewhat similar places.",
        finding="The maps hardly depend on what was learned",
    ),
    "flip": _Question(
        "Does the mirrored photo give the mirrored map?",
        good="Yes, by and large.",
        bad="No: it looks at other places, so a single map says little.",
        open="Only in part.",
        finding="A mirrored photo does not give the mirrored map",
    ),
    "pixels": _Question(
        "Does it hold in the pixels as well?",
        good="Yes: blurring what it looked at costs more confidence than blurring as much elsewhere.",
        bad="No: blurring as much elsewhere costs more confidence.",
        open="Not shown: blurring what it looked at costs about as much as blurring as much elsewhere.",
        finding="Blurring what it looked at costs less than blurring elsewhere",
    ),
    "pointing": _Question(
        "Does the strongest tile lie on the object?",
        good="More than a guess at the middle would reach.",
        bad="Less than a guess at the middle would reach.",
        open="About as a guess at the middle would reach.",
        finding="The maps find the objects less often than a guess at the middle",
    ),
    "energy": _Question(
        "How much of the map lies on the object?",
        good="More than a map that is the same everywhere would reach.",
        bad="Less than a map that is the same everywhere would reach.",
        open="About as a map that is the same everywhere would reach.",
        finding="Less of the maps lies on the objects than their size alone would give",
    ),
    "mask_pointing": _Question(
        "Does the strongest tile lie on the object's mask?",
        good="More than a guess at the middle would reach.",
        bad="Less than a guess at the middle would reach.",
        open="About as a guess at the middle would reach.",
        finding="The maps find the masks less often than a guess at the middle",
    ),
    "mask_energy": _Question(
        "How much of the map lies on the object's mask?",
        good="More than a map that is the same everywhere would reach.",
        bad="Less than a map that is the same everywhere would reach.",
        open="About as a map that is the same everywhere would reach.",
        finding="Less of the maps lies on the masks than their size alone would give",
    ),
    "mask_overlap": _Question(
        "Does the map have the object's shape?",
        good="Cut at its best threshold it overlaps the mask more than a round blob in the middle does.",
        bad="Even cut at its best threshold it overlaps the mask less than a round blob in the middle does.",
        open="Cut at its best threshold it overlaps the mask about as a round blob in the middle does.",
        finding="The maps overlap the masks less than a round blob in the middle does",
    ),
}


def mean_with_interval(values: Sequence[float] | Floats, method: str) -> Metric:
    """The mean of numbers of either sign, one per photo, with Student's interval where they differ."""
    own = np.asarray(values, dtype=np.float64)
    metric = Metric(value=float(own.mean()), n=own.size, method=method)
    if own.size < 2 or np.ptp(own) == 0:
        return metric
    low, high = ttest_1samp(own, 0).confidence_interval(0.95)
    return replace(metric, method=f"{method}; Student's interval", ci_low=float(low), ci_high=float(high))


def check_attention(how: Literal["even", "permuted"], right: Sequence[bool], right_so: Sequence[bool]) -> TrustCheck:
    """Whether the answers get worse once every patch counts the same, or once the weights stand at random places.

    That no accuracy is lost counts as shown where the interval leaves room for no more than 2 %, or no photo fares
    otherwise. `right` tells of each photo whether its answer is right as the network is, `right_so` with the other
    attention.
    """
    key, method = {
        "even": ("uniform_attention", "every tile given the same weight in the pooling"),
        "permuted": ("permuted_attention", "the tiles' weights at random places"),
    }[how]
    each = np.asarray(right, dtype=float) - np.asarray(right_so, dtype=float)
    lost = mean_with_interval(each, "the second less the first, photo by photo")
    values = {
        f"accuracy_{how}": proportion(sum(right_so), len(right_so), f"share of photos right, {method}"),
        "accuracy": proportion(sum(right), len(right), "share of photos right, as the network is"),
        "accuracy_lost": lost,
    }
    if lost.ci_low is not None and lost.ci_low > 0:
        return _answer(key, values, "good")
    return _answer(key, values, "bad" if lost.ci_high is None or lost.ci_high <= _NEGLIGIBLE else "open")


def state_even_look(right: Sequence[bool]) -> TrustCheck:
    """What is known without a check where a network looks at every patch alike; `right` as of `check_attention`."""
    values = {"accuracy": proportion(sum(right), len(right), "share of photos right, as the network is")}
    asked = _QUESTIONS["even_look"]
    return TrustCheck(key="even_look", question=asked.question, outcome="bad", verdict=asked.bad, values=values)


def check_order(srg: Sequence[float]) -> TrustCheck:
    """Whether hiding in the map's order does more than hiding in random ones, whose gain is 0 on average."""
    words = "mean symmetric relevance gain of hiding in the order of the look; of random orders it is 0"
    values = {"srg": mean_with_interval(srg, words)}
    return _answer("order", values, _compare(values["srg"]))


def check_randomised(pooling: Sequence[float], network: Sequence[float]) -> TrustCheck:
    """Whether the maps change with what the network learned."""
    words = "mean rank correlation of the look maps with those of the same network whose {} forgot what it learned"
    values = {
        "correlation_pooling": mean_with_interval(pooling, words.format("pooling")),
        "correlation_network": mean_with_interval(network, words.format("every layer")),
    }
    return _answer(
        "parameter_randomisation", values, _compare(values["correlation_network"], ALIKE, above="bad", below="good")
    )


def check_flip(correlations: Sequence[float], same_label: Sequence[bool]) -> TrustCheck:
    """Whether a mirrored photo gives the mirrored map and the same answer."""
    words = "mean rank correlation of the look with that of the mirrored photo, mirrored back"
    values = {
        "correlation_flip": mean_with_interval(correlations, words),
        "label_agreement": proportion(sum(same_label), len(same_label), "mirrored photos with the same answer"),
    }
    return _answer("flip", values, _compare(values["correlation_flip"], STEADY))


def check_pixels(attended: Sequence[float], random: Sequence[float]) -> TrustCheck:
    """Whether blurring the half of the patches that it looked at most costs more than blurring a random half."""
    words = "mean drop of the predicted class's probability with {} blurred in the photo"
    more = np.asarray(attended) - np.asarray(random)
    values = {
        "drop_looked_at": mean_with_interval(attended, words.format("the half of the tiles it looked at most")),
        "drop_random": mean_with_interval(random, words.format("a random half of the tiles")),
        "drop_difference": mean_with_interval(more, "the first less the second, photo by photo"),
    }
    return _answer("pixels", values, _compare(values["drop_difference"]))


def check_pointing(hits: Mapping[str, Sequence[bool]], *, random: Sequence[float]) -> TrustCheck:
    """Whether the strongest patch lies on the object more often than the middle of the photo does.

    `hits` of each photo are by name: look, evidence and center; `random` is what a random place reaches, the share of
    each photo that its boxes cover.
    """
    words = {
        "look": "photos whose strongest tile of the look is centred",
        "evidence": "photos whose strongest tile of the predicted class's evidence is centred",
        "center": "photos whose middle lies",
    }
    values = {name: proportion(sum(one), len(one), f"{words[name]} in a box") for name, one in hits.items()}
    values["random"] = mean_with_interval(random, "mean share of the photo in its boxes")
    ahead = np.asarray(hits["look"], dtype=float) - np.asarray(hits["center"], dtype=float)
    return _answer("pointing", values, _compare(mean_with_interval(ahead, "")))


def check_energy(energy: Mapping[str, Sequence[float]], *, even: Sequence[float]) -> TrustCheck:
    """Whether more of the map lies on the object than of a map that is the same everywhere.

    `energy` in each photo's boxes is by name: look, evidence and center; `even` is the boxes' share of what was seen.
    """
    words = {
        "look": "mean share of the look in the boxes",
        "evidence": "mean share of the positive evidence for the predicted class in the boxes",
        "center": "mean share of a round blob in the photo's middle in the boxes",
        "random": "mean share of the seen photo in the boxes: a map that is the same everywhere",
    }
    values = {name: mean_with_interval(one, words[name]) for name, one in {**energy, "random": even}.items()}
    ahead = np.asarray(energy["look"]) - np.asarray(even)
    return _answer("energy", values, _compare(mean_with_interval(ahead, "")))


def check_masks(on_mask: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[TrustCheck, ...]:
    """How the maps find the masks of the objects: by their strongest patch, by their energy, by their shape.

    `on_mask` has for "pointing", "energy" and "overlap" a number per photo by name: look, evidence (where there is
    some), center and random. What is to be beaten is the middle, or for the energy a map that is the same everywhere.
    """
    words = {
        "pointing": "share of photos whose {} lies on the mask",
        "energy": "mean share of {} on the mask",
        "overlap": "mean overlap (IoU) of the mask with {}, cut at its best threshold",
    }
    named = {
        "look": "the look",
        "evidence": "the positive evidence for the predicted class",
        "center": "a round blob in the photo's middle",
        "random": "a map that is the same everywhere",
    }
    points = {"look": "strongest tile of the look", "evidence": "strongest tile of the evidence", "center": "middle"}
    checks = []
    for key, found in on_mask.items():
        values = {}
        for name, own in found.items():
            if key == "pointing" and name in points:
                hits = int(np.sum(own))
                values[name] = proportion(hits, len(own), words[key].format(points[name]))
            elif key == "pointing":
                values[name] = mean_with_interval(own, "mean share of the photo on its mask")
            else:
                values[name] = mean_with_interval(own, words[key].format(named[name]))
        beaten = found["random" if key == "energy" else "center"]
        ahead = mean_with_interval(np.asarray(found["look"], dtype=float) - np.asarray(beaten, dtype=float), "")
        checks.append(_answer(f"mask_{key}", values, _compare(ahead)))
    return tuple(checks)


def mask_metrics(checks: Sequence[TrustCheck]) -> dict[str, Metric]:
    """The same figures by their names in metrics.json, such as mask_overlap and mask_overlap_center."""
    return {
        check.key if name == "look" else f"{check.key}_{name}": metric
        for check in checks
        for name, metric in check.values.items()
    }


def describe_trust(trust: Trust) -> Trust:
    """The checks as they were read from a file, with what is said of their values."""
    return replace(trust, checks=tuple(replace(one, values=described(one.values)) for one in trust.checks))


def trust_findings(trust: Trust) -> tuple[Finding, ...]:
    """A finding for each check that the maps did not pass."""
    found = []
    for check in (one for one in trust.checks if one.outcome == "bad"):
        shown = ", ".join(f"{name.replace('_', ' ')} {metric.value:.3f}" for name, metric in check.values.items())
        photos, asked = next(iter(check.values.values())).n, _QUESTIONS[check.key]
        evidence = f"{check.question} {check.verdict} ({shown}; {photos} photos.)"
        found.append(Finding(severity="note", title=asked.finding, evidence=evidence, remedy=asked.remedy))
    return tuple(found)


def _answer(key: str, values: dict[str, Metric], outcome: Outcome) -> TrustCheck:
    """The check with the verdict that belongs to its outcome, or with none on too few photos."""
    asked, photos = _QUESTIONS[key], min(metric.n for metric in values.values())
    if photos < FEWEST:
        verdict = f"Too few photos to tell: {photos}, at least {FEWEST} are needed."
        return TrustCheck(key=key, question=asked.question, outcome="open", verdict=verdict, values=values)
    return TrustCheck(key=key, question=asked.question, outcome=outcome, verdict=getattr(asked, outcome), values=values)


def _compare(metric: Metric, bound: float = 0.0, *, above: Outcome = "good", below: Outcome = "bad") -> Outcome:
    """The outcome where the interval lies above the bound, or where it lies below; open otherwise."""
    low, high = (metric.value if end is None else end for end in (metric.ci_low, metric.ci_high))  # all photos alike
    return above if low > bound else below if high < bound else "open"

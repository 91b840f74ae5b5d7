"""Learning curve: what a model that learned from a share of the photos reaches, and whether more would help."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from pcn_cli.metrics.definitions import mean_average_precision
from pcn_cli.metrics.inputs import Floats, Inputs, SingleLabel
from pcn_cli.metrics.intervals import paired, summed, wilson_of_share
from pcn_cli.metrics.measure import per_class
from pcn_cli.records.evaluation import ClassGain, CurveStep, LearningCurve
from pcn_cli.records.metrics import Metric

LITTLE = 0.02  # a step that is smaller would hardly be noticed

Outlook = Literal["help", "little", "open"]


class Share(NamedTuple):
    """What the regressions that shared out the training photos, `photos` for each, answered to the test photos."""

    photos: int
    answers: Sequence[Inputs]


def measure_learning_curve(
    shares: Sequence[Share], *, left_out: Sequence[int] = (), scarce: str = ""
) -> LearningCurve | None:
    """The curve of at least two shares, from the smallest to that of all photos; None where the test says nothing."""
    headlines = [[_headline(inputs) for inputs in share.answers] for share in shares]
    means = [_mean([one for one in own if one]) for own in headlines if all(own)]
    if len(means) < len(shares):
        return None
    first = shares[0].answers[0]
    steps = tuple(
        CurveStep(draws=len(share.answers), photos=share.photos, figure=_measure(first, *mean), classes=_classes(share))
        for share, mean in zip(shares, means, strict=True)
    )
    (before, half), (after, whole) = means[-2:]
    low, high = paired(after - before, whole - half)
    method = "with all training photos less with half, on the same photos; paired interval of Bonett and Price"
    return LearningCurve(
        figure="accuracy" if isinstance(first, SingleLabel) else "mean_average_precision",
        steps=steps,
        gain=Metric(value=after - before, n=len(first.labels), method=method, ci_low=low, ci_high=high),
        most=_gained_most(first, steps[-2].classes, steps[-1].classes),
        left_out=tuple(left_out),
        scarce=scarce,
    )


def judge_outlook(curve: LearningCurve) -> Outlook:
    """Whether more photos would help, would change little, or the test photos are too few to tell.

    Twice as many seldom bring more than the last doubling did.
    """
    if curve.gain.ci_low is not None and curve.gain.ci_low > 0:
        return "help"
    return "little" if curve.gain.ci_high is not None and curve.gain.ci_high < LITTLE else "open"


def _headline(inputs: Inputs) -> tuple[float, Floats] | None:
    """The figure that models are compared by, and what one more of each photo adds to it (n,)."""
    if isinstance(inputs, SingleLabel):
        return float(inputs.right.mean()), inputs.right / inputs.right.size
    return mean_average_precision(inputs)


def _mean(headlines: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    values, influences = zip(*headlines, strict=True)
    return float(np.mean(values)), np.asarray(np.mean(influences, axis=0))


def _measure(inputs: Inputs, value: float, influence: Floats) -> Metric:
    """The mean figure of some regressions; its interval knows of the test photos, not of those that were learned."""
    photos = len(inputs.labels)
    if isinstance(inputs, SingleLabel):
        # As of one regression: that the mean of several varies less with the test photos is left aside.
        low, high = wilson_of_share(value, photos)
        method = "share of photos whose most probable class is the label; Wilson interval"
        return Metric(value=value, n=photos, method=method, ci_low=low, ci_high=high)
    return summed(value, influence, inputs, "mean average precision of the classes with photos", most=1.0)


def _classes(share: Share) -> dict[str, float]:
    """Each class's recall, or of several labels average precision, in the mean; of the classes with test photos."""
    found: dict[str, list[float]] = {}
    for inputs in share.answers:
        for row in per_class(inputs):
            value = row.recall if isinstance(inputs, SingleLabel) else row.average_precision
            if value is not None:
                found.setdefault(row.label, []).append(value)
    return {label: float(np.mean(values)) for label, values in found.items()}


def _gained_most(inputs: Inputs, half: Mapping[str, float], whole: Mapping[str, float]) -> ClassGain | None:
    label = max(whole, key=lambda name: whole[name] - half[name], default="")
    if not whole or whole[label] <= half[label]:
        return None
    photos = int(inputs.counts[1][list(inputs.classes).index(label)])
    return ClassGain(label=label, half=half[label], all=whole[label], photos=photos)

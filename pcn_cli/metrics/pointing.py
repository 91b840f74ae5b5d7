"""The pointing game: does the strongest patch lie on the object? Beside it what a guess would reach.

Zhang et al. 2016, arXiv:1608.00507; here without their margin of 15 pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pcn_cli.metrics.intervals import proportion
from pcn_cli.records.metrics import Metric
from pcn_cli.records.photos import Box
from pcn_cli.records.predictions import Prediction


def play_pointing_game(predictions: Sequence[Prediction], boxes: Mapping[str, Sequence[Box]]) -> dict[str, Metric]:
    """The share of photos whose peak lies in a box of the photo, by key; {} where no photo has a box.

    Beside it the share of the right predictions, of a guess at the photo's middle and of one at random. `boxes` are by
    file.
    """
    played = [(one, boxes[one.file]) for one in predictions if boxes.get(one.file)]
    if not played:
        return {}
    hits = [hits_box(one.attention.peak_x, one.attention.peak_y, own) for one, own in played]
    right = [hit for hit, (one, _) in zip(hits, played, strict=True) if one.correct]
    middle = [hits_middle(own) for _, own in played]
    covered = float(np.mean([covered_share(own) for _, own in played]))
    shares = {
        "pointing_game": (hits, "photos whose strongest tile is centred in a box"),
        "pointing_game_right": (right, "the same as pointing_game, of the right predictions"),
        "pointing_game_center": (middle, "the same for a guess at the middle of each photo"),
    }
    metrics = {key: proportion(sum(own), len(own), method) for key, (own, method) in shares.items() if own}
    random = Metric(value=covered, n=len(played), method="mean share of the photo's area in its boxes")
    return metrics | {"pointing_game_random": random}


def hits_box(x: float, y: float, boxes: Sequence[Box]) -> bool:
    """Whether (x, y) lies in one of the boxes, their edges included."""
    return any(box.xmin <= x <= box.xmax and box.ymin <= y <= box.ymax for box in boxes)


def hits_middle(boxes: Sequence[Box]) -> bool:
    """Whether the middle of the photo lies in one of its boxes."""
    return hits_box((boxes[0].width - 1) / 2, (boxes[0].height - 1) / 2, boxes)


def covered_share(boxes: Sequence[Box]) -> float:
    """The share of a photo's pixels that lie in at least one of its boxes."""
    covered = np.zeros((boxes[0].height, boxes[0].width), dtype=bool)
    for box in boxes:
        covered[box.ymin : box.ymax + 1, box.xmin : box.xmax + 1] = True
    return float(covered.mean())

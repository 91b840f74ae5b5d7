"""What steps gave: the numbers of a card's steps are looked at together, since looking at them means to wait for it."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pcn_cli.training.ranks import Ranks

CHECKED_AT_ONCE = 16  # steps of a card whose numbers are looked at together


class Step(NamedTuple):
    """What one step, of this `number`, on so many `photos` gave; nothing was learned from a bad one.

    `bad_photos` (indices into the training files) are to blame for that; of several processes, rank 0 knows them.
    """

    number: int
    loss: float
    lr: float
    photos: int
    bad: bool = False
    bad_photos: tuple[int, ...] = ()


class MadeStep(NamedTuple):
    """A step whose numbers are still on the device.

    `loss` and `bad` () are of the photos of all processes; `indices` (B,) of those that were learned from here, and
    `rows` (B,) says whose logits were not finite.
    """

    number: int
    lr: float
    photos: int
    loss: Tensor
    bad: Tensor
    indices: Tensor
    rows: Tensor


def look_at_steps(made: list[MadeStep], ranks: Ranks, *, hopeless: bool) -> list[Step]:
    """The steps in their order; here the device is waited for. `hopeless` ones are all bad, whatever they say."""
    if not made:
        return []
    losses = torch.stack([one.loss for one in made]).tolist()
    bad = torch.stack([one.bad for one in made]).tolist()
    return [
        Step(
            number=one.number,
            loss=loss,
            lr=one.lr,
            photos=one.photos,
            bad=is_bad or hopeless,
            bad_photos=_blame(one, ranks) if is_bad or hopeless else (),
        )
        for one, loss, is_bad in zip(made, losses, bad, strict=True)
    ]


def _blame(made: MadeStep, ranks: Ranks) -> tuple[int, ...]:
    """The indices of the photos whose logits were not finite; of all photos of a step where no output tells."""
    marked = np.stack([made.indices.numpy(), made.rows.cpu().numpy()], axis=1)
    whole = ranks.concatenate(marked)
    if whole is None:
        return ()
    guilty = whole[whole[:, 1] == 1] if whole[:, 1].any() else whole
    return tuple(guilty[:, 0].tolist())

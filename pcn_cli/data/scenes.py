"""Photos drawn by rule with several things on each, and their exact masks and boxes: to try what finds things.

Things do not hide one another by more than half; a mask is what can be seen. A seed gives the very photos that it gave.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcn_cli.data.drawing import HUES, develop, draw_ground, draw_thing, put
from pcn_cli.files.atomic import write_json, write_with

KINDS = tuple(HUES)  # of things; the class of kind k is k + 1, of the ground 0
_OPAQUE = 128  # from how opaque a pixel of a thing on it is the thing's
_TRIES = 20
_MOST_HIDDEN = 0.5

Thing = tuple[int, NDArray[np.bool_]]
"""The class of a thing, from 1, and its mask (height, width)."""


def draw_scene(width: int, height: int, things: int, rng: np.random.Generator) -> tuple[Image.Image, list[Thing]]:
    """A photo with up to so many things on it, as many as find room, and what of each can be seen."""
    photo, masks = draw_ground(width, height, rng), list[Thing]()
    for _ in range(things):
        kind = int(rng.integers(len(KINDS)))
        thing = draw_thing(KINDS[kind], int(min(width, height) * rng.uniform(0.28, 0.5)), rng)
        for _ in range(_TRIES):
            left = int(rng.integers(0, max(1, width - thing.width + 1)))
            top = int(rng.integers(0, max(1, height - thing.height + 1)))
            mask = np.zeros((height, width), dtype=bool)
            seen = np.asarray(thing.getchannel("A"))[: height - top, : width - left] >= _OPAQUE
            mask[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
            if all((one & mask).sum() <= _MOST_HIDDEN * one.sum() for _, one in masks) and mask.any():
                masks = [(label, one & ~mask) for label, one in masks]
                photo, _ = put(thing, photo, left, top, rng)
                masks.append((kind + 1, mask))
                break
    return develop(photo, rng), masks


def draw_scenes(folder: Path, photos: int, *, seed: int, size: tuple[int, int] = (160, 128), things: int = 3) -> None:
    """Fill `folder` with photos/NNN.jpg, masks/NNN.png (a class per pixel, 0 the ground) and coco.json of the things.

    `size` is width and height in pixels; each photo has 1 to `things` things.
    """
    images, found = [], list[dict[str, Any]]()
    for number in range(photos):
        rng = np.random.default_rng([seed, number])
        photo, masks = draw_scene(*size, int(rng.integers(1, things + 1)), rng)
        classes = np.zeros((photo.height, photo.width), dtype=np.uint8)
        for label, mask in masks:
            classes[mask] = label
            found.append(_annotate(len(found) + 1, number + 1, label, mask))
        name = f"{number:03}"
        write_with(folder / "photos" / f"{name}.jpg", partial(photo.save, format="JPEG", quality=92), durable=False)
        mask_picture = Image.fromarray(classes)
        write_with(folder / "masks" / f"{name}.png", partial(mask_picture.save, format="PNG"), durable=False)
        images.append({"id": number + 1, "file_name": f"{name}.jpg", "width": photo.width, "height": photo.height})
    categories = [{"id": place + 1, "name": kind} for place, kind in enumerate(KINDS)]
    write_json(folder / "coco.json", {"images": images, "annotations": found, "categories": categories})


def _annotate(number: int, image: int, label: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A thing in the words of COCO; its mask as run lengths, column by column, beginning with what is outside."""
    ys, xs = np.nonzero(mask)
    left, top = int(xs.min()), int(ys.min())
    flat = np.concatenate([[False], mask.flatten(order="F"), [False]])
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], turns, [mask.size]])).tolist()
    return {
        "id": number,
        "image_id": image,
        "category_id": label,
        "bbox": [left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": counts},
    }

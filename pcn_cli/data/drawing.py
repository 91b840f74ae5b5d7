"""Photos drawn by rule, to try everything with: four kinds of things, each somewhere on a busy ground, with its box.

A seed gives the very photos that it gave before.
"""

import colorsys
import hashlib
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pcn_cli.files.atomic import write_with
from pcn_cli.records.photos import PARTS, Box, Part

Edges = tuple[int, int, int, int]  # left, top, right, bottom in pixels, all inside

HUES = {"cross": (205, 245), "leaf": (85, 140), "ring": (32, 52), "star": (-18, 14)}  # degrees, lowest and highest
GROUNDS = ((112, 98, 82), (128, 126, 120), (150, 134, 104), (92, 98, 88), (118, 86, 70), (88, 90, 100))
SIZES = ((320, 240), (240, 320), (288, 288))  # of photos: width, height
SMOOTHER = 3  # things are drawn this many times larger, then reduced


def draw_photos(folder: Path, per_class: dict[Part, int], *, seed: int) -> list[Box]:
    """The boxes of the things in the photos that `folder` then holds, as part/kind/kind_000.jpg.

    There are `per_class` photos of each kind in each part; another seed gives others.
    """
    boxes = []
    parts = [part for part in PARTS for _ in range(per_class[part])]
    for place, label in enumerate(HUES):
        for number, part in enumerate(parts):
            photo, edges = draw_photo(label, np.random.default_rng([seed, place, number]))
            file = f"{part}/{label}/{label}_{number:03}.jpg"
            write_with(folder / file, partial(photo.save, format="JPEG", quality=88), durable=False)
            boxes.append(make_box(file, label, edges, photo))
    return boxes


def make_box(file: str, label: str, edges: Edges, photo: Image.Image) -> Box:
    """The box of a thing in a photo."""
    (left, top, right, bottom), (width, height) = edges, photo.size
    return Box(file=file, label=label, xmin=left, ymin=top, xmax=right, ymax=bottom, width=width, height=height)


def put(
    thing: Image.Image, photo: Image.Image, left: int, top: int, rng: np.random.Generator
) -> tuple[Image.Image, Edges]:
    """The photo with the thing and its shadow on it, and the box around the thing."""
    shadow = Image.new("L", photo.size)
    shadow.paste(thing.getchannel("A"), (left + int(rng.integers(-6, 7)), top + int(rng.integers(3, 9))))
    shadow = shadow.filter(ImageFilter.GaussianBlur(5)).point([value * 0.6 for value in range(256)])
    photo = ImageChops.multiply(photo, ImageChops.invert(shadow).convert("RGB"))
    photo.paste(thing, (left, top), thing)
    return photo, (left, top, left + thing.width - 1, top + thing.height - 1)


def draw_photo(label: str, rng: np.random.Generator) -> tuple[Image.Image, Edges]:
    """A photo of one thing, and the box around it."""
    width, height = SIZES[rng.integers(len(SIZES))]
    photo = draw_ground(width, height, rng)
    thing = draw_thing(label, int(min(width, height) * rng.uniform(0.34, 0.62)), rng)
    # Anywhere around the middle, so that a square crop keeps most of it.
    left, top = (
        int(np.clip(whole / 2 + rng.uniform(-90, 90) - part / 2, 4, whole - part - 4))
        for whole, part in zip(photo.size, thing.size, strict=True)
    )
    photo, edges = put(thing, photo, left, top, rng)
    return develop(photo, rng), edges


def draw_ground(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Stones, twigs and stains on a rough ground, none of them in a strong colour."""
    colour = np.array(GROUNDS[rng.integers(len(GROUNDS))]) * rng.uniform(0.75, 1.2)
    rough = noise(width, height, (3, 9, 27, 81), rng)
    ground = to_picture(colour * (0.62 + 0.76 * rough[..., None]))
    draw = ImageDraw.Draw(ground)
    for _ in range(rng.integers(25, 60)):
        tone = tuple(int(c) for c in np.clip(colour * rng.uniform(0.4, 1.6) + rng.normal(0, 10, 3), 0, 255))
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, 22)
        if rng.random() < 0.5:
            ends = zip(np.linspace(0, math.tau, 9, endpoint=False), size * rng.uniform(0.6, 1.0, 9), strict=True)
            draw.polygon([(x + r * math.cos(a), y + 0.7 * r * math.sin(a)) for a, r in ends], fill=tone)
        else:
            angle = rng.uniform(0, math.tau)
            end = (x + 3 * size * math.cos(angle), y + 3 * size * math.sin(angle))
            draw.line([(x, y), end], fill=tone, width=int(rng.integers(1, 4)))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.4)))


def draw_thing(label: str, size: int, rng: np.random.Generator) -> Image.Image:
    """The thing alone, turned and lit at random, on a transparent square cut close around it."""
    side = size * SMOOTHER
    shape, marks = Image.new("L", (side, side)), Image.new("L", (side, side))
    OUTLINES[label](ImageDraw.Draw(shape), ImageDraw.Draw(marks), side / 2, rng)
    turn = rng.uniform(0, 360)
    squeeze = (side, int(side * rng.uniform(0.72, 1.0)))
    shape, marks = (layer.rotate(turn, Image.Resampling.BICUBIC).resize(squeeze) for layer in (shape, marks))
    box = shape.getbbox() or (0, 0, side, side)
    final = (max(8, (box[2] - box[0]) // SMOOTHER), max(8, (box[3] - box[1]) // SMOOTHER))
    shape, marks = (layer.crop(box).resize(final, Image.Resampling.LANCZOS) for layer in (shape, marks))
    hue = rng.uniform(*HUES[label]) / 360 % 1
    colour = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.62, 0.95), rng.uniform(0.62, 0.95))) * 255
    light = lighting(shape, rng) * (1 - 0.4 * np.asarray(marks)[..., None] / 255)
    thing = to_picture(colour * light).convert("RGBA")
    thing.putalpha(shape)
    return thing


def lighting(shape: Image.Image, rng: np.random.Generator) -> NDArray[np.float64]:
    """How bright each pixel of the thing is: light from one side, a rounded edge, a rough skin."""
    width, height = shape.size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = rng.uniform(0, math.tau)
    side = 0.18 * (x * math.cos(angle) + y * math.sin(angle))
    edge = np.asarray(shape.filter(ImageFilter.GaussianBlur(max(2, width / 18)))) / 255
    skin = 0.3 * (noise(width, height, (5, 15), rng) - 0.5)
    return np.asarray((0.55 + 0.5 * edge + side + skin)[..., None])


def develop(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """`photo` as a camera would give it: exposure, a tint of the light, darker corners, grain."""
    width, height = photo.size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corners = 1 - 0.16 * (x**2 + y**2)
    tint = rng.uniform(0.93, 1.07, 3) * rng.uniform(0.8, 1.2)
    grain = 5 * rng.standard_normal((height, width, 3), dtype=np.float32)
    return to_picture(np.asarray(photo) * (corners[..., None] * tint).astype(np.float32) + grain)


def to_picture(pixels: NDArray[Any]) -> Image.Image:
    """The picture of (height, width, 3) grey levels, cut to 0 … 255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def noise(width: int, height: int, cells: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """(height, width) values around 0.5: soft random hills of several sizes, `cells` across."""
    layers = []
    for count in cells:
        hills = Image.fromarray(rng.random((count, count), dtype=np.float32))
        layers.append(np.asarray(hills.resize((width, height), Image.Resampling.BICUBIC)))
    return np.asarray(np.mean(layers, axis=0, dtype=np.float64))


def outline_cross(shape: ImageDraw.ImageDraw, marks: ImageDraw.ImageDraw, r: float, rng: np.random.Generator) -> None:
    """Two bars."""
    arm, reach = r * rng.uniform(0.2, 0.28), r * 0.95
    for draw, thickness in ((shape, arm), (marks, arm * 0.15)):
        draw.rectangle([r - thickness, r - reach, r + thickness, r + reach], fill=255)
        draw.rectangle([r - reach, r - thickness, r + reach, r + thickness], fill=255)


def outline_leaf(shape: ImageDraw.ImageDraw, marks: ImageDraw.ImageDraw, r: float, rng: np.random.Generator) -> None:
    """A pointed oval with veins and a stalk."""
    broad = rng.uniform(0.42, 0.58)
    along = np.linspace(-0.85, 0.85, 40)
    across = broad * np.cos(along / 0.85 * math.pi / 2) ** 0.8
    right = [(r + r * a, r + r * t) for t, a in zip(along, across, strict=True)]
    left = [(r - r * a, r + r * t) for t, a in zip(along[::-1], across[::-1], strict=True)]
    shape.polygon(right + left, fill=255)
    stroke = max(2, int(r * 0.03))
    shape.line([(r, r * 1.8), (r, r * 1.97)], fill=255, width=stroke * 2)
    marks.line([(r, r * 0.15), (r, r * 1.97)], fill=255, width=stroke)
    for start in np.linspace(-0.55, 0.5, 6):
        for side in (-1, 1):
            tip = (r + side * r * broad * 0.7, r + r * (start - 0.25))
            marks.line([(r, r + r * start), tip], fill=255, width=max(1, stroke // 2))


def outline_ring(shape: ImageDraw.ImageDraw, marks: ImageDraw.ImageDraw, r: float, rng: np.random.Generator) -> None:
    """A round band with a hole."""
    hole, outer = r * rng.uniform(0.45, 0.62), r * 0.95
    shape.ellipse([r - outer, r - outer, r + outer, r + outer], fill=255)
    shape.ellipse([r - hole, r - hole, r + hole, r + hole], fill=0)
    middle = (hole + outer) / 2
    marks.ellipse([r - middle, r - middle, r + middle, r + middle], outline=160, width=max(2, int(r * 0.04)))


def outline_star(shape: ImageDraw.ImageDraw, marks: ImageDraw.ImageDraw, r: float, rng: np.random.Generator) -> None:
    """Five arms like a starfish's, with a line along each."""
    waist = rng.uniform(0.36, 0.46)
    corners = []
    for point in range(10):
        angle = math.tau * point / 10 + rng.normal(0, 0.03)
        radius = r * (0.95 if point % 2 == 0 else waist)
        corners.append((r + radius * math.sin(angle), r - radius * math.cos(angle)))
    shape.polygon(corners, fill=255)
    for x, y in corners[::2]:
        marks.line([(r, r), (r + 0.8 * (x - r), r + 0.8 * (y - r))], fill=150, width=max(2, int(r * 0.04)))


OUTLINES = {"cross": outline_cross, "leaf": outline_leaf, "ring": outline_ring, "star": outline_star}


_COLUMNS, _ROWS, _TILE = 40, 28, 8  # neither square nor even in the network's eyes: every way of fitting it differs


def make_synthetic_picture(seed: int) -> Image.Image:
    """A mosaic of 40 × 28 tiles in colours that a hash of `seed` gives, 320 × 224 pixels."""
    colours = hashlib.shake_256(f"pcn synthetic {seed}".encode()).digest(3 * _COLUMNS * _ROWS)
    tiles = np.frombuffer(colours, dtype=np.uint8).reshape(_ROWS, _COLUMNS, 3)
    return Image.fromarray(tiles.repeat(_TILE, axis=0).repeat(_TILE, axis=1))

"""Photos that are one picture twice: by their content hash, or by their sketches where the bytes differ.

Near copies differ in size, encoding, a slight cut or brightness. Of many pictures those are compared that random trees
over six coarse features put into one leaf, so that the work grows as their number. A perceptual hash (signs of the
8 × 8 lowest cosine frequencies of the grey sketch, after Zauner 2010) and these features leave candidates; the
correlation of the colour sketches, the one laid over slightly cut windows of the other, confirms them. The mean of all
sketches is taken off first, so that what every picture has in common (a fixture, a backdrop) makes no two alike.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pcn_cli.data.scan.decode import read_sketches
from pcn_cli.records.photos import Photo

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Bits = NDArray[np.uint64]

# Measured on 1,000 photos of flowers and cut, brightened, resized and re-encoded copies of 250 of them.
FARTHEST = 0.3  # between the features of copies: 998 in 1,000 of those found without, and 3 in 1,000 other pairs
MOST_DIFFERING_BITS = 18  # of 63; 97 % of the copies, 1 in 1,000 pairs of other photos
LEAST_ROUGH = 0.6  # correlation of 8 × 8 pixels without a search for the cut; copies 0.65 and above
LEAST_COARSE = 0.85  # the same with it
LEAST_CONTRAST = 4.0  # grey levels; a flatter picture shows nothing to compare
CUTS = (1.0, 0.97, 0.94, 0.9)  # how much of the side a cut leaves
COARSE_SIDE = 8
ALIKE_SHARE = 0.25  # of all pictures: a larger set of "copies" is a kind of picture, such as a fixture or a digit
ALIKE_FROM = 20

_FEW = 16  # pictures; the mean of fewer says more about them than about what they share
_SMOOTH = 7  # pixels of the sketch
_ROWS = 256
_LEAF = 1_000  # pictures compared with each other
_TREES = 16  # among 50,000 pictures 1 in 20,000 pairs of copies never shares a leaf
_HASHES = 64  # compared with all others at a time
_PAIRS = 50_000


class Closeness(NamedTuple):
    """How alike two sketches are at least: correlation of all pixels, and of what is left without what is smooth."""

    fine: float
    detail: float


# True pairs 0.91 and above, the likest other photos 0.88; cuts 0.75 and above, skies and horizons that are alike 0.65.
COPIES = Closeness(0.9, 0.7)
# Of bursts of 40 with noise all are joined, with a cut of up to 6 % 38 or more, of up to 10 % 33 or more; of 182
# digits "1" no more than 19.
AS_GOOD_AS_EQUAL = Closeness(0.95, 0.85)


def find_near_duplicates(
    photos: Sequence[Photo],
    sketches: Mapping[str, str],
    *,
    on_compared: Callable[[int, int], None] | None = None,
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Sets of files that show one picture in different bytes, and how many photos were too alike to be told apart.

    Of a set above a quarter of all pictures only what is as good as equal is kept together, and the rest is counted:
    it may be a burst, or a kind of picture, such as a digit. `sketches` has each file's picture in base64;
    `on_compared` is called with (done, total) pictures.
    """
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        copies[photo.sha256].append(photo.file)
    pictures = list(copies.values())
    drawn = read_sketches([sketches[files[0]] for files in pictures])
    numbers = group_near(drawn, on_compared=on_compared)
    sizes = np.bincount(numbers, weights=[len(files) for files in pictures], minlength=1)
    too_alike = sizes[numbers] > max(ALIKE_FROM, ALIKE_SHARE * len(pictures))
    if too_alike.any():
        numbers = np.where(too_alike, len(pictures) + group_near(drawn, closeness=AS_GOOD_AS_EQUAL), numbers)
    groups: defaultdict[int, list[list[str]]] = defaultdict(list)
    for number, files in zip(numbers.tolist(), pictures, strict=True):
        groups[number].append(files)
    told = [tuple(sorted(chain(*group))) for group in groups.values() if len(group) > 1]
    alone = (
        len(files)
        for number, files, odd in zip(numbers.tolist(), pictures, too_alike, strict=True)
        if odd and len(groups[number]) == 1
    )
    return tuple(sorted(told)), sum(alone)


def group_near(
    sketches: NDArray[np.uint8],
    *,
    closeness: Closeness = COPIES,
    on_compared: Callable[[int, int], None] | None = None,
) -> Numbers:
    """The number of each picture's group (N,): equal numbers where pictures are the same, directly or by a chain.

    `sketches` are (N, side, side, 3); `on_compared` is called with (done, total) pictures.
    """
    groups = np.arange(len(sketches))
    if len(sketches) < 2:
        return groups
    pictures = _Pictures(sketches)
    hashes = pictures.each(_hash)
    coarse = pictures.each(_shrink)
    shown = pictures.each(lambda block: block.std(axis=(1, 2, 3)) >= LEAST_CONTRAST)
    shown &= pictures.each(lambda block: (block + pictures.mean).std(axis=(1, 2, 3)) >= LEAST_CONTRAST)
    for done, first, second in _candidates(_place(coarse), hashes):
        for start in range(0, len(first), _PAIRS):
            left, right = first[start : start + _PAIRS], second[start : start + _PAIRS]
            # What a chain joins already is not compared again.
            worth = (groups[left] != groups[right]) & shown[left] & shown[right]
            left, right = left[worth], right[worth]
            same = _confirm(pictures, coarse, left, right, closeness)
            groups = join_groups(groups, left[same], right[same])
        if on_compared:
            on_compared(done, len(sketches))
    return groups


class _Pictures:
    """Sketches without what all have in common; kept as bytes, because as numbers 60,000 take half a gigabyte."""

    def __init__(self, sketches: NDArray[np.uint8]) -> None:
        self._sketches = sketches
        mean = sketches.mean(axis=0, dtype=np.float64) * (len(sketches) / (len(sketches) + _FEW))
        self.mean = mean.astype(np.float32)

    def at(self, positions: Numbers) -> Floats:
        """The pictures (n, side, side, 3) at `positions`."""
        return np.asarray(self._sketches[positions] - self.mean, np.float32)

    def each(self, measure: Callable[[Floats], NDArray[Any]]) -> NDArray[Any]:
        """What `measure` says of every picture, asked for some at a time."""
        starts = range(0, len(self._sketches), _ROWS)
        return np.concatenate([measure(self._sketches[start : start + _ROWS] - self.mean) for start in starts])


def _hash(pictures: Floats) -> Bits:
    """63 bits for each picture (N,): is a cosine frequency of its grey values positive."""
    grey = pictures @ np.array([0.299, 0.587, 0.114], np.float32)
    signs = dctn(grey, axes=(1, 2))[:, :8, :8].reshape(len(grey), 64)[:, 1:] > 0  # all but the mean
    return np.asarray(signs @ (np.uint64(1) << np.arange(63, dtype=np.uint64)), np.uint64)


def _place(coarse: Floats) -> Floats:
    """Six features (N, 6) that cuts, encoding and brightness hardly change: slopes and bends of grey, and a colour."""
    flat = coarse.reshape(len(coarse), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    waves = dctn(unit.reshape(coarse.shape), axes=(1, 2), norm="ortho")
    grey, red_blue = waves.sum(axis=3) / np.sqrt(3), (waves[..., 0] - waves[..., 2]) / np.sqrt(2)
    shape = [grey[:, row, column] for row, column in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1))]
    return np.asarray(np.stack([*shape, red_blue[:, 0, 0]], axis=1), np.float32)


def _candidates(places: Floats, hashes: Bits) -> Iterator[tuple[int, Numbers, Numbers]]:
    """How many pictures are done, and the positions of pairs, each once, that differ in few bits and lie close.

    Of more pictures than a leaf holds, those are compared that share a leaf of one of `_TREES` trees.
    """
    count, rng = len(places), np.random.default_rng(0)
    trees, done = _TREES if count > _LEAF else 1, 0
    leaf_of = np.zeros((trees, count), np.int32)
    for tree in range(trees):
        for number, leaf in enumerate(_divide(rng.permutation(count), places, rng)):
            leaf_of[tree, leaf] = number
            first, second = (leaf[side] for side in _pairs_of_few_bits(hashes[leaf]))
            close = np.square(places[first] - places[second]).sum(axis=1) <= FARTHEST**2
            close &= ~(leaf_of[:tree, first] == leaf_of[:tree, second]).any(axis=0)  # not seen in an earlier tree
            done += len(leaf)
            yield done // trees, first[close], second[close]


def _divide(members: Numbers, places: Floats, rng: np.random.Generator) -> Iterator[Numbers]:
    """Parts of `members` with at most `_LEAF` each: halved again and again across the line through two of them.

    A random projection tree after Dasgupta and Freund 2008; what lies close together seldom lies on two sides.
    """
    if len(members) <= _LEAF:
        yield members
        return
    one, other = places[rng.choice(members, 2, replace=False)]
    order = np.argpartition(places[members] @ (one - other), len(members) // 2)
    for half in np.split(members[order], [len(members) // 2]):
        yield from _divide(half, places, rng)


def _pairs_of_few_bits(hashes: Bits) -> tuple[Numbers, Numbers]:
    """The positions of each pair, once, whose hashes differ in at most `MOST_DIFFERING_BITS`."""
    found = []
    for start in range(0, len(hashes), _HASHES):
        near = np.bitwise_count(hashes[start : start + _HASHES, None] ^ hashes[start:]) <= MOST_DIFFERING_BITS
        # Looked for in one dimension, which is several times as fast as in two.
        found.append(np.add(np.divmod(np.flatnonzero(near), near.shape[1]), start))
    first, second = np.concatenate(found, axis=1)
    return first[first < second], second[first < second]


def _confirm(
    pictures: _Pictures, coarse: Floats, first: Numbers, second: Numbers, closeness: Closeness
) -> NDArray[np.bool_]:
    """Whether the pictures of each pair are the same; the cheapest test first."""
    same = np.zeros(len(first), bool)
    left = np.flatnonzero(_correlate(coarse[first], coarse[second]) >= LEAST_ROUGH)
    left = left[_align(coarse[first[left]], coarse[second[left]], least=LEAST_COARSE)]
    left = left[_align(pictures.at(first[left]), pictures.at(second[left]), least=closeness.fine)]
    # Two pale pictures have little but the missing mean in common: with it they must agree as well.
    whole = (pictures.at(positions[left]) + pictures.mean for positions in (first, second))
    left = left[_align(*whole, least=closeness.fine)]
    ends = (pictures.at(positions[left]) for positions in (first, second))
    details = (end - uniform_filter(end, size=(1, _SMOOTH, _SMOOTH, 1), mode="nearest") for end in ends)
    same[left[_align(*details, least=closeness.detail)]] = True
    return same


def _shrink(pictures: Floats) -> Floats:
    count, side = pictures.shape[:2]
    cell = side // COARSE_SIDE
    return np.asarray(pictures.reshape(count, COARSE_SIDE, cell, COARSE_SIDE, cell, 3).mean(axis=(2, 4)), np.float32)


def _align(first: Floats, second: Floats, *, least: float) -> NDArray[np.bool_]:
    """Whether the pictures of each pair correlate by `least` somewhere, where either may be a cut of the other."""
    found, left = np.zeros(len(first), bool), np.arange(len(first))
    for (rows, columns), turned in product(_windows(first.shape[1]), (False, True)):
        if not len(left):
            break
        whole, cut = (second, first) if turned else (first, second)
        stretched = (rows @ whole.reshape(*whole.shape[:2], -1)).reshape(whole.shape)  # rows are stretched
        alike = _correlate(columns @ stretched, cut) >= least
        if alike.any():  # what is known of a pair is not looked for again
            found[left[alike]] = True
            first, second, left = first[~alike], second[~alike], left[~alike]
    return found


@cache
def _windows(side: int) -> tuple[tuple[Floats, Floats], ...]:
    """Matrices (side, side) that stretch a part of the rows and of the columns over the whole side."""
    windows: list[tuple[Floats, Floats]] = []
    for kept in CUTS:
        starts = (0.0, (1 - kept) / 2, 1 - kept) if kept < 1 else (0.0,)
        stretches = [_stretch(side, start, kept) for start in starts]
        windows += product(stretches, stretches)
    return tuple(windows)


def _stretch(side: int, start: float, share: float) -> Floats:
    """Linear interpolation (side, side) of the values between `start` and `start + share` of a side."""
    centres = (start + share * (np.arange(side) + 0.5) / side) * side - 0.5
    distance = np.abs(np.clip(centres, 0, side - 1)[:, None] - np.arange(side)[None])
    return np.asarray(np.clip(1 - distance, 0, None), np.float32)


def _correlate(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of the pictures of each pair (N,)."""
    a, b = (x - x.mean(axis=(1, 2, 3), keepdims=True) for x in (first, second))
    norms = np.sqrt(np.einsum("nyxc,nyxc->n", a, a) * np.einsum("nyxc,nyxc->n", b, b))
    return np.asarray(np.einsum("nyxc,nyxc->n", a, b) / np.maximum(norms, 1e-6), np.float32)


def join_groups(groups: Numbers, first: Numbers, second: Numbers) -> Numbers:
    """The numbers of the groups (N,) after the members of each pair were put together."""
    if not len(first):
        return groups
    links = coo_array((np.ones(len(first)), (groups[first], groups[second])), shape=(len(groups), len(groups)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)[groups]

"""Pictures that a network finds as good as the same, though their sketches differ: another angle, a burst, an edit.

How similar photos are in general depends on the network and on the set, so no bound on the cosine would do. What counts
is how much closer two photos are than either is to its tenth nearest (after the ratio test of Lowe 2004), and the bound
comes from the set itself: photos of two classes are hardly ever one scene, so a pair has to be twice as close as the
closest of those.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

NEIGHBOUR = 10  # a series of ten is still told from what merely looks alike
# Looked at on 1,000 photos of flowers, with an ImageNet network at 64 to 224 pixels and a weak one at 64 and 128: every
# find, three pairs in all, shows one scene; the closest pair that does not stands at 1.08 times the bound.
SHARE_OF_CLASSES = 0.5  # of the ratio of the closest two photos of two classes
LARGEST_RATIO = 0.4  # however different the classes are
MOST_COMPARED = 5_000  # photos: up to here every one is compared with every other
_ROWS = 512
_DIMENSIONS = 512  # of the features of more photos: their distances stay within some 6 %
_SEARCHED = 4  # clusters: the photo's own and those nearest to it

Numbers = NDArray[np.int64]
Features = NDArray[np.float32]


def find_neighbours(features: Features, targets: Numbers, groups: Numbers) -> list[tuple[int, int]]:
    """Pairs of places whose features (N, C) are as good as the same, the closest first; none among few photos.

    `targets` (N,) are class numbers, `groups` (N,) equal where photos are known to belong together and left out.
    Of many photos each is compared with those of some clusters around it: the cost grows as N to the power of 1.5.
    """
    if len(features) <= NEIGHBOUR:
        return []
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    usual, blocks = np.empty(len(features), np.float32), list(_blocks(directions))
    # At once, of which BLAS computes a half; those of more photos would take too much memory.
    known = _distances(directions, directions) if len(features) <= MOST_COMPARED else None

    def measure(rows: Numbers, columns: Numbers) -> Features:
        return known[rows] if known is not None else _distances(directions[rows], directions[columns])

    for rows, columns in blocks:
        nearest = min(NEIGHBOUR, len(columns) - 1)  # the photo itself is its nearest
        usual[rows] = np.partition(measure(rows, columns), nearest)[:, nearest]
    bound, near = LARGEST_RATIO, dict[tuple[int, int], float]()
    for rows, columns in blocks:
        ratios = measure(rows, columns)
        ratios /= np.sqrt(np.maximum(np.outer(usual[rows], usual[columns]), 1e-12))
        ratios[groups[rows, None] == groups[columns]] = np.inf
        others = ratios[targets[rows, None] != targets[columns]]
        bound = min(bound, SHARE_OF_CLASSES * float(others.min(initial=np.inf)))
        for row, column in zip(*np.nonzero(ratios <= LARGEST_RATIO), strict=True):
            first, second = sorted((int(rows[row]), int(columns[column])))
            near[first, second] = float(ratios[row, column])
    return [pair for ratio, pair in sorted((ratio, pair) for pair, ratio in near.items()) if ratio <= bound]


def draw_projection(photos: int, numbers: int) -> Features | None:
    """What to multiply features (N, C) of so many `numbers` with, so that those of many photos take less memory."""
    if photos <= MOST_COMPARED or numbers <= _DIMENSIONS:
        return None
    drawn = np.random.default_rng(0).standard_normal((numbers, _DIMENSIONS), np.float32)
    return np.asarray(drawn / np.sqrt(_DIMENSIONS), np.float32)


def _blocks(directions: Features) -> Iterator[tuple[Numbers, Numbers]]:
    """Places, each once, with those that they are compared with, themselves among them."""
    places = np.arange(len(directions))
    if len(directions) <= MOST_COMPARED:
        yield from ((places[start : start + _ROWS], places) for start in range(0, len(places), _ROWS))
        return
    count = round(len(directions) ** 0.5)
    clusters = MiniBatchKMeans(count, random_state=0, n_init=1, batch_size=4 * _ROWS, max_iter=20).fit(directions)
    members = [np.flatnonzero(clusters.labels_ == number) for number in range(count)]
    centres = np.asarray(clusters.cluster_centers_, np.float32)
    for number in np.flatnonzero([len(own) for own in members]):
        distant = np.linalg.norm(centres - centres[number], axis=1)
        around = np.concatenate([members[near] for near in np.argsort(distant)[:_SEARCHED]])
        for start in range(0, len(members[number]), _ROWS):
            yield members[number][start : start + _ROWS], around


def _distances(some: Features, others: Features) -> Features:
    """1 − cosine of directions (R, C) to others (M, C), as (R, M)."""
    distances: Features = some @ others.T
    np.subtract(1, distances, out=distances)
    np.maximum(distances, 0, out=distances)
    return distances

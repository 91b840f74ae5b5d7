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
    usual, blocks, known = np.empty(len(features), np.float32), list(_blocks(directions)), list[Features]()
    for rows, columns in blocks:
        # The photo itself is its nearest.
        nearest, distances = min(NEIGHBOUR, len(columns) - 1), _distances(directions, rows, columns)
        usual[rows] = np.partition(distances, nearest)[:, nearest]
        if len(features) <= MOST_COMPARED:  # those of more would take too much memory
            known.append(distances)
    bound, near = LARGEST_RATIO, dict[tuple[int, int], float]()
    for number, (rows, columns) in enumerate(blocks):
        ratios = known[number] if known else _distances(directions, rows, columns)
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


def _distances(directions: Features, rows: Numbers, columns: Numbers) -> Features:
    """1 − cosine of some photos to others, (R, M)."""
    return np.asarray(np.clip(1 - directions[rows] @ directions[columns].T, 0, None), np.float32)

"""Pictures that a network finds as good as the same, though their sketches differ: another angle, a burst, an edit.

How similar photos are in general depends on the network and on the set, so no bound on the cosine would do. What counts
is how much closer two photos are than either is to its tenth nearest (after the ratio test of Lowe 2004), and the bound
comes from the set itself: photos of two classes are hardly ever one scene, so a pair has to be twice as close as the
closest of those.
"""

import numpy as np
from numpy.typing import NDArray

NEIGHBOUR = 10  # a series of ten is still told from what merely looks alike
# Looked at on 1,000 photos of flowers, with an ImageNet network at 64 to 224 pixels and a weak one at 64 and 128: every
# find, three pairs in all, shows one scene; the closest pair that does not stands at 1.08 times the bound.
SHARE_OF_CLASSES = 0.5  # of the ratio of the closest two photos of two classes
LARGEST_RATIO = 0.4  # however different the classes are
MOST_PHOTOS = 5_000  # every photo is compared with every other
_ROWS = 512

Numbers = NDArray[np.int64]


def find_neighbours(features: NDArray[np.float32], targets: Numbers, groups: Numbers) -> list[tuple[int, int]]:
    """Pairs of places whose features (N, C) are as good as the same, the closest first; none among few or many photos.

    `targets` (N,) are class numbers, `groups` (N,) equal where photos are known to belong together and left out.
    """
    if not NEIGHBOUR < len(features) <= MOST_PHOTOS:
        return []
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(features), _ROWS)]
    # The photo itself is its nearest.
    usual = np.concatenate([np.partition(_distances(directions, block), NEIGHBOUR)[:, NEIGHBOUR] for block in blocks])
    bound, near = LARGEST_RATIO, []
    for block in blocks:
        ratios = _distances(directions, block) / np.sqrt(np.maximum(np.outer(usual[block], usual), 1e-12))
        ratios[groups[block, None] == groups] = np.inf
        others = ratios[targets[block, None] != targets]
        bound = min(bound, SHARE_OF_CLASSES * float(others.min(initial=np.inf)))
        rows, columns = np.nonzero(ratios <= LARGEST_RATIO)
        near += list(zip(ratios[rows, columns].tolist(), (rows + block.start).tolist(), columns.tolist(), strict=True))
    return [(first, second) for ratio, first, second in sorted(near) if first < second and ratio <= bound]


def _distances(directions: NDArray[np.float32], block: slice) -> NDArray[np.float32]:
    """1 − cosine of some photos to every photo, (R, N)."""
    return np.asarray(np.clip(1 - directions[block] @ directions.T, 0, None), np.float32)

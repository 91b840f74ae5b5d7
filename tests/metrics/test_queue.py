import numpy as np

from pcn_cli.metrics.queue import choose_queue, doubt


def photos(*, seed=0):
    """Two clouds of 40 photos, the first answered unsurely; the last of all is far from every other."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([[6, 0, 0, 0, 0, 0, 0, 0], [0, 6, 0, 0, 0, 0, 0, 0]], 40, axis=0)
    features = np.vstack([centres + rng.normal(0, 1, (80, 8)), [[0, 0, 0, 0, 0, 0, 0, -9]]]).astype("f4")
    sure = np.concatenate([np.full(40, 0.5), np.full(40, 0.99), [0.52]]) + rng.uniform(0, 0.005, 81)
    return np.stack([sure, 1 - sure], axis=1), features


def test_unsure_photos_come_first_each_once_and_the_odd_one_late():
    probabilities, features = photos()
    chosen = choose_queue(probabilities, features, None, count=30).tolist()
    assert len(set(chosen)) == 30
    assert all(place < 40 or place == 80 for place in chosen)
    assert 80 not in chosen[:10]


def test_no_two_alike_stand_among_the_first():
    probabilities, features = photos()
    features[1:20] = features[0] + 1e-3  # a burst
    assert sum(place < 20 for place in choose_queue(probabilities, features, None, count=10)) == 1


def test_what_is_unlike_anything_learned_counts_as_unsure():
    probabilities, features = photos()
    unlike = np.where(np.arange(81) // 40 == 1, 1.5, 0.4)
    assert doubt(probabilities, unlike)[50] == 1 > doubt(probabilities, None)[50]
    assert sum(40 <= place < 80 for place in choose_queue(probabilities, features, unlike, count=20)) >= 8


def test_a_queue_is_no_longer_than_there_are_photos():
    probabilities, features = photos()
    assert sorted(choose_queue(probabilities, features, None, count=500)) == list(range(81))
    assert choose_queue(probabilities[:1], features[:1], None, count=5).tolist() == [0]
    assert choose_queue(probabilities[:0], features[:0], None, count=5).size == 0

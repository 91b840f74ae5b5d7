import numpy as np

from pcn_cli.metrics import photo_map
from pcn_cli.metrics.photo_map import most_alike, place_photos
from pcn_cli.metrics.unlike import unit_length


def clouds(count, *, channels=16):
    """Features around three directions, and the number of the direction of each."""
    rng, own = np.random.default_rng(0), np.arange(count) % 3
    return (rng.normal(0, 0.2, (count, channels)) + 3 * np.eye(channels)[own]).astype("f4"), own


def test_alike_photos_lie_together_and_always_at_the_same_place(monkeypatch):
    monkeypatch.setattr(photo_map, "MOST_PLACED", 60)
    for count in (60, 90):  # of the second, thirty lie between those that t-SNE placed
        features, own = clouds(count)
        places = place_photos(features)
        assert places.shape == (count, 2)
        assert (places.min(), places.max()) == (0, 1)
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        assert (own[apart.argmin(axis=1)] == own).mean() > 0.95
        assert (place_photos(features) == places).all()


def test_a_handful_of_photos_is_placed_as_well():
    for count in (0, 1, 2, 3, 5):
        places = place_photos(clouds(count)[0])
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()


def test_photos_that_nothing_tells_apart_stand_in_a_line():
    """Seen: a network to which all photos were alike ended the run in a warning of scikit-learn's."""
    for features in (np.zeros((12, 8), "f4"), np.ones((12, 8), "f4"), np.tile(clouds(1)[0], (40, 1))):
        places = place_photos(features)
        assert np.isfinite(places).all()
        assert (places[:, 0] == places[:, 1]).all()
        assert len(np.unique(places[:, 0])) == len(features)


def test_the_most_alike_come_first_with_their_cosine():
    features = unit_length(clouds(30)[0])
    near, likeness = most_alike(features[:4], features, count=3)
    assert near[:, 0].tolist() == [0, 1, 2, 3]
    assert (np.diff(likeness, axis=1) <= 0).all()
    cosines = features @ features[2]
    assert near[2].tolist() == np.argsort(-cosines, kind="stable")[:3].tolist()
    assert most_alike(features[:2], features[:2], count=9)[0].shape == (2, 2)

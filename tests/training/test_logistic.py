"""Logistic regression on features, as a head of a network."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pcn_cli.errors import DataError
from pcn_cli.training.logistic import CS, choose_head, fit_head, fit_heads


def make_photos(classes: int, count: int = 90, *, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = np.arange(count) % classes
    features = rng.normal(size=(count, width)).astype(np.float32) * np.arange(1, width + 1) + 5
    features[np.arange(count), targets] += 4
    return features.astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.001, 0.3])
def test_the_head_says_what_scikit_learn_says_of_the_scaled_features(classes, C):
    features, targets = make_photos(classes)
    head = fit_head(features[:60], targets[:60], C=C, classes=classes)
    scaled = (features.astype(np.float64) - head.mean) / head.scale
    own = LogisticRegression(C=C, max_iter=2_000, tol=1e-8).fit(scaled[:60], targets[:60])
    np.testing.assert_allclose(head.probabilities(features[60:]), own.predict_proba(scaled[60:]), atol=3e-3)
    assert head.weight.shape == (classes, 6)
    assert head.bias.shape == (classes,)


def test_features_are_divided_by_the_root_of_their_deviation_and_are_of_size_1_then():
    features, targets = make_photos(3)
    head = fit_head(features, targets, C=0.1, classes=3)
    np.testing.assert_allclose(
        head.scale**2 / features.std(axis=0), (head.scale[0] ** 2 / features[:, 0].std()), rtol=1e-4
    )
    assert np.square((features - head.mean) / head.scale).mean() == pytest.approx(1.0, rel=1e-4)
    tenfold = fit_head(10 * features, targets, C=0.1, classes=3)
    np.testing.assert_allclose(tenfold.probabilities(10 * features), head.probabilities(features), atol=1e-3)


def test_photos_that_weigh_more_count_more():
    features, targets = make_photos(3)
    (doubled,) = fit_heads(features, targets, (0.01,), classes=3, photo_weights=np.full(90, 2.0, dtype=np.float32))
    np.testing.assert_allclose(
        doubled.probabilities(features),
        fit_head(features, targets, C=0.02, classes=3).probabilities(features),
        atol=1e-3,
    )
    weights = np.where(targets == 1, 5.0, 1.0).astype(np.float32)
    (weighted,) = fit_heads(features, targets, (0.01,), classes=3, photo_weights=weights)
    plain = fit_head(features, targets, C=0.01, classes=3)
    assert weighted.probabilities(features)[:, 1].mean() > plain.probabilities(features)[:, 1].mean() + 0.1


def test_c_is_the_one_with_the_smallest_validation_log_loss():
    rng = np.random.default_rng(0)
    features, targets = make_photos(3, 60, width=40)
    noise = rng.normal(size=features.shape).astype(np.float32) * 8
    chosen = choose_head(
        features + noise, targets, val_features=features[30:] - noise[30:], val_targets=targets[30:], classes=3
    )
    losses = {
        head.C: -np.log(head.probabilities(features[30:] - noise[30:])[np.arange(30), targets[30:]]).mean()
        for head in fit_heads(features + noise, targets, CS, classes=3)
    }
    assert min(losses, key=losses.__getitem__) == chosen.C


def test_a_class_without_photos_is_next_to_impossible_and_a_lone_one_certain():
    features, targets = make_photos(3)
    head = fit_head(features, np.where(targets == 2, 3, targets), C=0.1, classes=4)
    probabilities = head.probabilities(features)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert np.all(probabilities[:, 2] < 1e-6)
    assert (probabilities.argmax(axis=1) == np.where(targets == 2, 3, targets)).mean() > 0.8
    alone = fit_head(features, np.full(90, 1), C=0.1, classes=3).probabilities(features)
    assert alone.argmax(axis=1).tolist() == [1] * 90
    assert alone.max(axis=1).min() > 1 - 1e-6


def test_several_labels_are_decided_each_and_classes_that_all_or_none_have_are_known():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (120, 4))
    targets[:, 2], targets[:, 3] = 0, 1
    features = (rng.normal(size=(120, 6)) + np.pad(3 * targets, ((0, 0), (0, 2)))).astype(np.float32)
    head = choose_head(
        features[:80], targets[:80], val_features=features[80:100], val_targets=targets[80:100], classes=4
    )
    probabilities = head.probabilities(features[100:])
    assert probabilities[:, 2].max() < 1e-5
    assert probabilities[:, 3].min() > 1 - 1e-5
    assert ((probabilities[:, :2] >= 0.5) == targets[100:, :2]).mean() > 0.85


def test_features_that_never_change_do_no_harm():
    features, targets = make_photos(3)
    features[:, 0] = 7.0
    assert np.isfinite(fit_head(features, targets, C=1.0, classes=3).probabilities(features)).all()


def test_no_photos_are_refused():
    with pytest.raises(DataError, match="no photo to train on"):
        fit_head(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64), C=1.0, classes=2)


@pytest.mark.parametrize("kind", ["two", "many", "several"])
def test_a_start_nearby_leads_to_the_same_head_in_fewer_steps(kind, monkeypatch):
    rng = np.random.default_rng(4)
    features = rng.normal(2, 3, (600, 12)).astype(np.float32)
    scores = features @ rng.normal(0, 0.3, (12, 4)) + rng.normal(0, 1, (600, 4))
    targets = {"two": scores[:, :2], "many": scores}.get(kind, scores).argmax(axis=1)
    if kind == "several":
        targets = (scores > scores.mean(axis=0)).astype(np.int64)
    classes, steps = 2 if kind == "two" else 4, []
    fit = LogisticRegression.fit

    def count(self, *arguments, **options):
        fitted = fit(self, *arguments, **options)
        steps.append(int(self.n_iter_.max()))
        return fitted

    monkeypatch.setattr(LogisticRegression, "fit", count)
    near = fit_head(features[:550], targets[:550], C=0.3, classes=classes)
    steps.clear()
    alone = fit_head(features, targets, C=0.3, classes=classes)
    needed, _ = sum(steps), steps.clear()
    helped = fit_head(features, targets, C=0.3, classes=classes, start=near)
    assert sum(steps) < needed
    np.testing.assert_allclose(helped.probabilities(features), alone.probabilities(features), atol=2e-3)

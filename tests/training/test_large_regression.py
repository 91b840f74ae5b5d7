"""Logistic regression on many photos: the same head as scikit-learn's."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from pcn_cli.training import logistic
from pcn_cli.training.large_regression import LargeRegression
from pcn_cli.training.logistic import fit_head, fit_heads


def make_photos(classes, count=900, *, width=24):
    """Features that are far from independent and of very different sizes, and classes that overlap."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width)) * np.geomspace(3, 0.01, width)[:, None]
    targets = rng.integers(0, classes, count)
    features = (rng.normal(size=(classes, width))[targets] + rng.normal(size=(count, width)) * 2) @ mixing
    return (features - features.mean(axis=0)).astype(np.float32), targets


@pytest.mark.parametrize("classes", [3, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_finds_the_optimum_of_scikit_learn_for_every_strength(classes, weighted):
    features, targets = make_photos(classes)
    weights = np.random.default_rng(1).uniform(0.3, 3, 900).astype(np.float32) if weighted else None
    regression = LargeRegression(features, targets, np.arange(classes), weights)
    exact = features.astype(np.float64)

    def judge(weight, bias, C):
        """The probabilities, and the loss with its penalty, for each photo."""
        logs = log_softmax(exact @ weight.T + bias, axis=1)
        shares = np.ones(900) if weights is None else weights
        penalty = np.square(weight).sum() / 2 / C
        return np.exp(logs), (penalty - shares @ logs[np.arange(900), targets]) / 900

    for C in (0.003, 0.1, 3.0):
        own = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-8).fit(exact, targets, weights)
        (found, loss), (known, least) = judge(*regression.solve(C), C), judge(own.coef_, own.intercept_, C)
        assert loss == pytest.approx(least, abs=2e-5)
        np.testing.assert_allclose(found, known, atol=5e-3)


def test_photos_go_through_in_groups_that_change_nothing(monkeypatch):
    features, targets = make_photos(4)
    whole = LargeRegression(features, targets, np.arange(4), None).solve(0.1)
    monkeypatch.setattr("pcn_cli.training.large_regression._AT_ONCE", 70)
    for one, other in zip(LargeRegression(features, targets, np.arange(4), None).solve(0.1), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.fixture
def many(monkeypatch):
    """Already few photos are many."""
    monkeypatch.setattr(logistic, "_MANY", 100)


def test_of_many_photos_the_head_is_the_same(monkeypatch):
    features, targets = make_photos(5)
    targets[targets == 3] = 4  # a class without a photo stays next to impossible
    before = [head.probabilities(features) for head in fit_heads(features, targets, (0.01, 1.0), classes=5)]
    monkeypatch.setattr(logistic, "_MANY", 100)
    for own, head in zip(before, fit_heads(features, targets, (0.01, 1.0), classes=5), strict=True):
        np.testing.assert_allclose(head.probabilities(features), own, atol=5e-3)
        assert head.probabilities(features)[:, 3].max() < 1e-6


def test_of_few_photos_two_classes_or_several_labels_nothing_changes(many, monkeypatch):
    def refuse(*_):
        raise AssertionError("the solver for many photos was asked")

    monkeypatch.setattr(logistic, "LargeRegression", refuse)
    features, targets = make_photos(3)
    fit_head(features[:99], targets[:99], C=0.1, classes=3)
    fit_head(features, np.minimum(targets, 1), C=0.1, classes=3)
    fit_head(features, np.stack([targets == 0, targets == 1], axis=1).astype(np.int64), C=0.1, classes=2)
    with pytest.raises(AssertionError, match="many photos"):
        fit_head(features, targets, C=0.1, classes=3)


def test_a_start_nearby_leads_to_the_same_head_in_fewer_steps(many, monkeypatch):
    features, targets = make_photos(6)
    asked, loss = [], LargeRegression._loss
    monkeypatch.setattr(LargeRegression, "_loss", lambda self, *given: asked.append(1) or loss(self, *given))
    near = fit_head(features[:850], targets[:850], C=0.3, classes=6)
    asked.clear()
    alone = fit_head(features, targets, C=0.3, classes=6)
    needed, _ = len(asked), asked.clear()
    helped = fit_head(features, targets, C=0.3, classes=6, start=near)
    assert len(asked) < needed
    np.testing.assert_allclose(helped.probabilities(features), alone.probabilities(features), atol=2e-3)

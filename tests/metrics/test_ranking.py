import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from pcn_cli.metrics import ranking


def draw(n: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    own = rng.random(n) < 0.3
    scores = rng.normal(0, 1, n) + own
    return (np.round(scores) if ties else scores), own


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("influence", "measure"),
    [
        (ranking.average_precision_influence, average_precision_score),
        (ranking.roc_area_influence, roc_auc_score),
    ],
)
def test_the_influence_is_what_a_little_more_of_a_photo_changes(influence, measure, ties: bool) -> None:
    scores, own = draw(40, ties=ties)
    by_formula = influence(scores, own)
    for photo in range(0, 40, 7):
        weights = np.ones(40)
        weights[photo] += 1e-6
        step = (measure(own, scores, sample_weight=weights) - measure(own, scores)) / 1e-6
        assert by_formula[photo] == pytest.approx(step, abs=1e-4)


@pytest.mark.parametrize("n", [10, 5000])
def test_thinned_curves_have_at_most_200_points_and_keep_their_area(n: int) -> None:
    scores, own = draw(n, ties=False)

    roc, pr = ranking.roc_points(scores, own), ranking.precision_recall_points(scores, own)

    for curve in (roc, pr):
        assert len(curve.x) == len(curve.y) <= 200
        assert (np.diff(curve.x) >= 0).all()
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    assert (pr.x[0], pr.y[0], pr.x[-1]) == (0, 1, 1)
    assert auc(roc.x, roc.y) == pytest.approx(roc_auc_score(own, scores), abs=0.003)

import numpy as np
import pytest
import torch
from torch import Tensor

from pcn_cli.attention.faithfulness import (
    STEPS,
    area_under,
    blur_patches,
    curve_sets,
    draw_orders,
    even_weights,
    half_count,
    hiding_numbers,
    permuted_weights,
    randomised,
    rank_correlation,
    rank_patches,
    run_hiding_tests,
)
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.records.model import PatchGrid

CLASSES = ("oak", "elm")


class Counter:
    """A network that says oak the more, the more of the pooled value is left; the rest is elm."""

    def tail(self, pooled: Tensor) -> Tensor:
        oak = pooled[..., 0, 0]
        return torch.stack([oak, torch.zeros_like(oak)], dim=-1)


def one_good_patch(patches: int = 20) -> tuple[Tensor, Tensor, np.ndarray]:
    """Half of the weight on patch 3, whose value is 8 and speaks for oak; the others, and the class token, for elm."""
    values = torch.full((1, patches + 1, 1), -1.0)
    values[0, 4] = 8
    weights = torch.full((1, 1, patches + 1), 0.4 / (patches - 1))
    weights[0, 0, 4], weights[0, 0, 0] = 0.5, 0.1
    look = weights[0, 0, 1:].double().numpy() / 0.9
    return weights, values, look.reshape(1, 4, patches // 4)


def test_a_curve_goes_through_what_is_left_step_by_step() -> None:
    weights, values, look = one_good_patch()
    (left,) = run_hiding_tests(Counter(), weights, values, looks=look, temperature=2.0, seeds=[(0, 0)])
    deletion, insertion = left[:STEPS, 0], left[STEPS : 2 * STEPS, 0]
    own = 1 / (1 + np.exp(-(8 * 0.5 - 0.5) / 2))
    nothing = 1 / (1 + np.exp(1 / 2))
    assert deletion[0] == insertion[-1] == pytest.approx(own)
    assert deletion[1:] == pytest.approx(nothing)  # without patch 3 all that is left says −1
    assert insertion[0] == pytest.approx(nothing)
    for step in range(1, STEPS):  # patch 3, then others, and the class token's own share of 0.1
        others = 0.4 * (step - 1) / 19
        pooled = (8 * 0.5 - others - 0.1) / (0.5 + others + 0.1)
        assert insertion[step] == pytest.approx(1 / (1 + np.exp(-pooled / 2)))
    deletion_classes = left[:STEPS].argmax(axis=1)
    assert (deletion_classes[0], set(deletion_classes[1:])) == (0, {1})


def test_what_ifs_hide_and_keep_the_patches_with_half_of_the_look() -> None:
    weights, values, look = one_good_patch()
    (left,) = run_hiding_tests(Counter(), weights, values, looks=look, temperature=2.0, seeds=[(0, 1)])
    numbers = hiding_numbers(left, 0, look=look[0], evidence=look[0], classes=CLASSES)
    own, hidden = left[:, 0], left[2 * STEPS]
    assert half_count(look[0]) == 1
    assert numbers.hidden_top == "elm"
    assert hidden[0] == pytest.approx(own[1])
    assert numbers.hidden_p == pytest.approx(1 - hidden[0])
    assert numbers.kept_p == pytest.approx(own[STEPS + 1])
    drawn = int(np.argmin(draw_orders((0, 1), 20, count=1)[0]))
    assert drawn != 3
    assert numbers.random_hidden_p > own[0]  # one that spoke against oak is gone


def test_an_order_turned_round_has_the_opposite_gain_so_random_ones_have_none_on_average() -> None:
    weights, values, _ = one_good_patch()
    orders = draw_orders((0, 5), 20, count=8).astype(float).reshape(8, 4, 5)
    gains = []
    for looks in (orders, -orders):
        pair = (weights.expand(8, -1, -1), values.expand(8, -1, -1))
        tests = run_hiding_tests(Counter(), *pair, looks=looks - looks.min(), temperature=2.0, seeds=[(0, 1)] * 8)
        own = tests[:, :, 0]
        gains.append(area_under(own[:, STEPS : 2 * STEPS]) - area_under(own[:, :STEPS]))
    assert gains[0] == pytest.approx(-gains[1])
    assert gains[0].std() > 0.05


def invent_test(*, changes_at: int = STEPS) -> np.ndarray:
    """Of oak and elm what is left of oak, and a figure of elm that is above it from one step of deletion on."""
    own = np.concatenate([np.linspace(0.9, 0.1, STEPS), np.full(STEPS, 0.9), [0.3, 0.8, 0.85]])
    elm = np.zeros(own.size)
    elm[changes_at:STEPS], elm[2 * STEPS] = 0.95, 0.7
    return np.stack([own, elm], axis=1)


def test_numbers_of_a_test_worked_out_by_hand() -> None:
    look, evidence = np.array([[4.0, 3, 2, 1]]), np.array([[8.0, 1, 3, 2]])
    left = invent_test(changes_at=7)
    numbers = hiding_numbers(left, 0, look=look, evidence=evidence, classes=CLASSES)
    assert numbers.deletion_auc == pytest.approx(0.5)
    assert numbers.insertion_auc == pytest.approx(0.9)
    assert numbers.srg == pytest.approx(0.4)
    assert numbers.comprehensiveness == pytest.approx(0.6)
    assert numbers.sufficiency == pytest.approx(0.1)
    assert numbers.flip_fraction == pytest.approx(0.35)
    assert numbers.look_evidence_spearman == pytest.approx(0.4)  # ranks 4 3 2 1 and 4 1 3 2: 1 − 6 · 6 / 60
    assert (numbers.hidden_top, numbers.hidden_p) == ("elm", 0.7)
    assert (numbers.kept_p, numbers.random_hidden_p) == (0.8, 0.85)


def test_what_is_not_known_is_none() -> None:
    numbers = hiding_numbers(invent_test(), 0, look=np.full((1, 4), 0.25), evidence=np.eye(1, 4), classes=CLASSES)
    assert numbers.flip_fraction is None
    assert numbers.look_evidence_spearman is None


@pytest.mark.parametrize("patches", [1, 4, 49, 196])
def test_curves_begin_and_end_with_everything_and_nothing(patches: int) -> None:
    orders = draw_orders((0, 0), patches, count=3)[None]
    sets = curve_sets(orders).reshape(3, 2, STEPS, patches)
    shown = sets.sum(axis=-1)
    assert (shown[:, 0, 0] == 0).all()
    assert (shown[:, 0, -1] == patches).all()
    assert (shown[:, 1] == patches - shown[:, 0]).all()
    assert not (sets[:, 0] & sets[:, 1]).any()
    assert (np.diff(shown[:, 0], axis=-1) >= 0).all()


def test_deletion_hides_the_first_of_the_order_first() -> None:
    ranks = rank_patches(np.array([[0.1, 0.5, 0.2, 0.2]]))
    assert ranks.tolist() == [[3, 0, 1, 2]]
    sets = curve_sets(ranks[:, None]).reshape(2, STEPS, 4)
    assert np.flatnonzero(sets[0, 5]).tolist() == [1]  # a quarter of four patches
    assert np.flatnonzero(sets[1, 5]).tolist() == [0, 2, 3]


def test_areas_follow_the_trapezoid() -> None:
    assert area_under(np.array([[1.0, 0, 0], [1, 1, 1]])).tolist() == [0.25, 1.0]


def test_level_maps_have_no_correlation() -> None:
    assert rank_correlation(np.ones(4), np.arange(4)) is None
    assert rank_correlation(np.arange(4), np.arange(4) ** 2) == pytest.approx(1)


WEIGHTS = torch.rand(2, 1, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
SEEDS = [(0, 3), (0, 8)]


@torch.no_grad()
def test_the_networks_own_weights_give_its_own_answer() -> None:
    torch.manual_seed(0)
    for class_tokens in (False, True):
        network = PatchConvNet(embed_dim=16, depth=1, num_classes=3, class_tokens=class_tokens, layer_scale=1.0).eval()
        attended = network.attend(torch.randn(2, 3, 64, 64))
        again = network.tail(attended.weights @ attended.values)
        torch.testing.assert_close(again, attended.logits, atol=1e-5, rtol=1e-5)


def test_even_weights_leave_the_class_token_its_share() -> None:
    even = even_weights(WEIGHTS, 6)
    assert torch.equal(even[..., 0], WEIGHTS[..., 0])
    assert (even[..., 1:] == even[..., 1:2]).all()
    torch.testing.assert_close(even.sum(-1), WEIGHTS.sum(-1))


def test_permuted_weights_are_the_same_at_other_places() -> None:
    permuted = permuted_weights(WEIGHTS, 6, seeds=SEEDS)
    assert torch.equal(permuted[..., 0], WEIGHTS[..., 0])
    assert torch.equal(permuted.sort(-1).values, WEIGHTS.sort(-1).values)
    assert not torch.equal(permuted, WEIGHTS)
    assert torch.equal(permuted[1:], permuted_weights(WEIGHTS[1:], 6, seeds=SEEDS[1:]))


def test_the_tokens_of_one_picture_are_permuted_alike() -> None:
    places = torch.arange(6.0).expand(1, 3, 6)
    permuted = permuted_weights(places, 6, seeds=SEEDS[:1])
    assert torch.equal(permuted[0, 0], permuted[0, 1])
    assert torch.equal(permuted[0, 0], permuted[0, 2])


@pytest.mark.parametrize(("offset", "left"), [(8.0, 16), (0.5, 8)], ids=["cell centre", "stem"])
def test_only_the_pixels_nearest_to_a_hidden_patch_are_blurred(offset: float, left: int) -> None:
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    hidden = np.zeros((2, 2, 4), dtype=bool)
    hidden[0, 0, 1] = True
    shown = blur_patches(images, hidden, patch_grid=PatchGrid(stride=16, offset=offset))
    changed = (shown != images).any(dim=1)
    rows, columns = changed[0].nonzero(as_tuple=True)
    assert (columns.min(), columns.max()) == (left, left + 15)
    assert (rows.min(), rows.max()) == (0, left - 1)  # row 0 reaches to the edge
    assert not changed[1].any()
    assert shown[0, :, :left, left : left + 16].std() < 0.4 * images.std()


def make_network() -> PatchConvNet:
    torch.manual_seed(0)
    return PatchConvNet(embed_dim=16, depth=1, num_classes=3)


def test_every_tensor_keeps_its_numbers_and_loses_their_places() -> None:
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    forgetful = randomised(network, seed=1).state_dict()
    for name, tensor in before.items():
        assert torch.equal(network.state_dict()[name], tensor), name
        assert torch.equal(forgetful[name].flatten().sort().values, tensor.flatten().sort().values), name
    assert not torch.equal(forgetful["head.weight"], before["head.weight"])
    assert not torch.equal(forgetful["stem.0.weight"], before["stem.0.weight"])


def test_only_the_part_that_was_named_forgets() -> None:
    network = make_network()
    forgetful = randomised(network, prefix="pooling.", seed=1).state_dict()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(forgetful[name], tensor)}
    assert changed
    assert all(name.startswith("pooling.") for name in changed)
    with pytest.raises(ValueError, match="no parameter starts with 'pool'"):
        randomised(torch.nn.Linear(2, 2), prefix="pool", seed=1)


def test_the_same_seed_forgets_in_the_same_way() -> None:
    one, same, other = (randomised(make_network(), seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)

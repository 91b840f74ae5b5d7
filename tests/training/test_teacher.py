"""A second head learns the teacher's answers while the network trains, and is gone afterwards."""

from pathlib import Path

import pytest
import torch
from standin import CLASSES, ColourBatches, Standin, make_config, run_fit
from torch import Tensor, nn
from torch.nn import functional as F

from pcn_cli.errors import ModelError, StoppedError
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import Distillation, compute_teacher_logits, without_second_head

CPU = torch.device("cpu")
ANSWERS = 5  # other classes than the network's


def answers_to(batches: ColourBatches) -> Tensor:
    """A teacher that knows the colours under other names."""
    return 4 * F.one_hot(batches.targets + 1, ANSWERS).float()


def train(batches: ColourBatches, *, taught: Tensor | None, model: Standin | None = None, **changes: object):
    config = make_config(teacher="colours" if taught is not None else "", **changes)
    return run_fit(model or Standin(), batches, config=config, teacher_logits=taught)


def test_the_loss_is_zero_where_the_answers_are_the_teachers_and_above_elsewhere() -> None:
    taught = torch.randn(6, ANSWERS)
    teaching = Distillation(Standin(), taught, weight=2.0, seed=0)
    rows = torch.tensor([4, 0])
    assert float(teaching.loss(taught[rows], rows)) == pytest.approx(0, abs=1e-6)
    wrong = teaching.loss(taught[rows.flip(0)], rows)
    assert float(wrong) > 0
    assert float(Distillation(Standin(), taught, weight=1.0, seed=0).loss(taught[rows.flip(0)], rows)) == pytest.approx(
        float(wrong) / 2
    )


def test_a_teacher_changes_what_is_learned_and_leaves_no_trace_in_the_network() -> None:
    batches = ColourBatches()
    model = Standin()
    names = list(model.state_dict())
    alone = train(batches, taught=None)
    taught = train(batches, taught=answers_to(batches), model=model)
    assert list(taught.best_state) == list(model.state_dict()) == names
    assert any(not torch.equal(taught.best_state[name], alone.best_state[name]) for name in names)


def test_the_features_follow_the_teacher_where_labels_say_nothing() -> None:
    batches = ColourBatches(count=60, batch_size=12)
    truth = F.one_hot(batches.targets, len(CLASSES)).float()
    taught = answers_to(batches)
    batches.targets = torch.arange(60) // 20  # in no relation to the colour

    def left_over(model: nn.Module) -> float:
        """What no linear map of the features explains of the true colours."""
        with torch.no_grad():
            features = model.forward_head(model.forward_features(batches.images), pre_logits=True)
        known = torch.cat([features, torch.ones(len(features), 1)], dim=1)
        return float(F.mse_loss(known @ torch.linalg.lstsq(known, truth).solution, truth))

    found = []
    for weight in (1e-6, 10.0):
        model = Standin(width=4, seed=3)
        train(batches, taught=taught, model=model, teacher_weight=weight, epochs=15, lr=2e-2)
        found.append(left_over(model))
    assert found[1] < 0.7 * found[0]


def test_a_taught_fit_resumes_to_the_same_bits(tmp_path: Path) -> None:
    batches = ColourBatches()
    taught = answers_to(batches)
    whole = train(batches, taught=taught)
    config = make_config(teacher="colours")
    with StopRequest() as stop:
        steps = iter(range(100))

        def on_step(*_: object) -> None:
            if next(steps) == 3:
                stop.request()

        options = {"config": config, "teacher_logits": taught, "checkpoints": tmp_path}
        with pytest.raises(StoppedError, match="stopped"):
            run_fit(Standin(), batches, on_step=on_step, stop=stop, **options)
    resumed = run_fit(Standin(seed=8), batches, **options)
    assert all(torch.equal(resumed.best_state[name], tensor) for name, tensor in whole.best_state.items())


def test_the_answers_come_in_the_order_of_the_photos() -> None:
    batches = ColourBatches()
    teacher = Standin()
    answers = compute_teacher_logits(teacher, batches, device=CPU, stop=StopRequest())
    assert answers.dtype == torch.float16
    with torch.no_grad():
        torch.testing.assert_close(answers, teacher(batches.images).half(), atol=2e-3, rtol=0)


def test_a_network_with_a_token_for_every_class_is_refused() -> None:
    model = Standin()
    model.head = nn.Identity()
    with pytest.raises(ModelError, match="a token for every class"):
        Distillation(model, torch.zeros(1, 2), weight=1.0, seed=0)


def test_only_the_second_head_is_taken_out_of_a_state() -> None:
    state = {"head.weight": torch.zeros(1), "teacher_head.weight": torch.zeros(1)}
    assert list(without_second_head(state)) == ["head.weight"]

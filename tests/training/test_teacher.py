"""A teacher is asked about what the network sees; a second head learns its answers, and is gone afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from standin import CLASSES, ColourBatches, Colours, Standin, make_config, make_teacher, run_fit
from torch import Tensor, nn
from torch.nn import functional as F

from pcn_cli.errors import ModelError, StoppedError
from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.pixels import Norm, normalise
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import Distillation, Teacher, without_second_head

PLAIN = Preprocessing(height=16, width=16)


class Watched(nn.Module):
    """A teacher's network that keeps what it was shown."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return images.mean(dim=(2, 3))[:, :2]


class WatchedStandin(Standin):
    """A network that keeps what it was shown while it learned."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward_features(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen.append(images.clone())
        return super().forward_features(images)


def train(batches: ColourBatches, *, teacher: Teacher | None, model: Standin | None = None, **changes: object):
    config = make_config(teacher="colours" if teacher is not None else "", **changes)
    return run_fit(model or Standin(), batches, config=config, teacher=teacher)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_teacher_sees_just_what_the_network_does_in_every_step(kind: str) -> None:
    batches, model, teacher = ColourBatches(), WatchedStandin(), Watched()
    train(batches, teacher=Teacher(teacher, PLAIN, given=PLAIN), model=model, epochs=2, micro_batch=3, **{kind: 1.0})
    assert len(teacher.seen) == len(model.seen) == 2 * (3 + 3 + 2)  # the parts of three batches, in both epochs
    assert all(torch.equal(*pair) for pair in zip(teacher.seen, model.seen, strict=True))
    known = {image.numpy().tobytes() for image in batches.images}
    mixed = [image.numpy().tobytes() not in known for image in torch.cat(teacher.seen)]
    assert any(mixed)


def test_the_teacher_gets_its_own_normalisation_of_the_same_pixels() -> None:
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    wanted = replace(PLAIN, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.3))
    assert wanted.mean != PLAIN.mean
    network = Watched()
    answers = Teacher(network, wanted, given=PLAIN)(normalise(pixels, Norm(PLAIN.mean, PLAIN.std)))
    own = normalise(pixels, Norm(wanted.mean, wanted.std))
    torch.testing.assert_close(network.seen[0], own, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(answers, network(own), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_teacher_gets_the_size_that_it_wants(interpolation: str) -> None:
    network, wanted = Watched(), Preprocessing(height=24, width=20, interpolation=interpolation)
    images = torch.randn(2, 3, 16, 16)
    Teacher(network, wanted, given=wanted)(images)
    resized = F.interpolate(images, size=(24, 20), mode=interpolation, antialias=True)
    torch.testing.assert_close(network.seen[0], resized)


def test_the_teacher_learns_nothing_itself() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    network.num_classes = 4
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train(ColourBatches(), teacher=Teacher(network, PLAIN, given=PLAIN), epochs=1)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_loss_is_zero_where_the_answers_are_the_teachers_and_above_elsewhere() -> None:
    answers = torch.randn(2, Colours.num_classes)
    teaching = Distillation(Standin(), make_teacher(), weight=2.0, seed=0)
    assert float(teaching.loss(answers, answers)) == pytest.approx(0, abs=1e-6)
    wrong = teaching.loss(answers.flip(0), answers)
    assert float(wrong) > 0
    half = Distillation(Standin(), make_teacher(), weight=1.0, seed=0).loss(answers.flip(0), answers)
    assert float(half) == pytest.approx(float(wrong) / 2)


def test_a_teacher_changes_what_is_learned_and_leaves_no_trace_in_the_network() -> None:
    batches = ColourBatches()
    model = Standin()
    names = list(model.state_dict())
    alone = train(batches, teacher=None)
    taught = train(batches, teacher=make_teacher(), model=model)
    assert list(taught.best_state) == list(model.state_dict()) == names
    assert any(not torch.equal(taught.best_state[name], alone.best_state[name]) for name in names)


def test_the_features_follow_the_teacher_where_labels_say_nothing() -> None:
    batches = ColourBatches(count=60, batch_size=12)
    truth = F.one_hot(batches.targets, len(CLASSES)).float()
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
        train(batches, teacher=make_teacher(), model=model, teacher_weight=weight, epochs=15, lr=2e-2)
        found.append(left_over(model))
    assert found[1] < 0.7 * found[0]


def test_a_taught_fit_resumes_to_the_same_bits(tmp_path: Path) -> None:
    batches, mixed = ColourBatches(), {"mixup": 0.5, "cutmix": 0.5}
    whole = train(batches, teacher=make_teacher(), **mixed)
    config = make_config(teacher="colours", **mixed)
    with StopRequest() as stop:
        steps = iter(range(100))

        def on_step(*_: object) -> None:
            if next(steps) == 3:
                stop.request()

        options = {"config": config, "teacher": make_teacher(), "checkpoints": tmp_path}
        with pytest.raises(StoppedError, match="stopped"):
            run_fit(Standin(), batches, on_step=on_step, stop=stop, **options)
    resumed = run_fit(Standin(seed=8), batches, **options)
    assert all(torch.equal(resumed.best_state[name], tensor) for name, tensor in whole.best_state.items())


def test_where_the_teachers_memory_runs_out_the_same_step_is_made_in_parts() -> None:
    class Large(Colours):
        def forward(self, images: Tensor) -> Tensor:
            if len(images) > 4:
                raise torch.OutOfMemoryError("pretended: out of memory")
            return super().forward(images)

    notes: list[str] = []
    config = make_config(teacher="colours")
    small = run_fit(
        Standin(), ColourBatches(), config=config, teacher=Teacher(Large(), PLAIN, given=PLAIN), on_note=notes.append
    )
    assert notes[0].startswith("out of memory: going on with 4 photos at once, 8 per step")
    whole = run_fit(Standin(), ColourBatches(), config=config, teacher=make_teacher())
    for name, tensor in whole.best_state.items():
        torch.testing.assert_close(small.best_state[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


def test_a_network_with_a_token_for_every_class_is_refused() -> None:
    model = Standin()
    model.head = nn.Identity()
    with pytest.raises(ModelError, match="a token for every class"):
        Distillation(model, make_teacher(), weight=1.0, seed=0)


def test_only_the_second_head_is_taken_out_of_a_state() -> None:
    state = {"head.weight": torch.zeros(1), "teacher_head.weight": torch.zeros(1)}
    assert list(without_second_head(state)) == ["head.weight"]

"""One step: its gradient is that of the whole batch however it is cut, and its state comes back as it was."""

from collections.abc import Sequence

import pytest
import torch
from standin import ColourBatches, Standin, make_config
from torch import Tensor, nn

from pcn_cli.errors import ResourceError
from pcn_cli.files.machine import Place
from pcn_cli.tensors.network import Batch
from pcn_cli.training.checkpoint import Progress
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.learner import Learner
from pcn_cli.training.optim import set_training_mode
from pcn_cli.training.ranks import Ranks

CPU = torch.device("cpu")


def start(config: FitConfig, *, micro_batch: int, model: Standin | None = None) -> tuple[Learner, Progress]:
    progress = Progress(plan=config, versions={}, total_steps=10, micro_batch=micro_batch)
    learner = Learner(model or Standin().double(), config, device=CPU)
    learner.set_schedule(progress)
    return learner, progress


@pytest.mark.parametrize("micro_batch", [1, 3, 5, 7])
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4}, {"class_weights": (0.5, 1.0, 2.0)}])
def test_micro_batches_give_the_gradient_of_the_whole_batch(micro_batch: int, mixing: dict[str, float]) -> None:
    batch = next(ColourBatches(batch_size=8).batches(0))
    batch = batch._replace(images=batch.images.double())
    gradients = []
    for size in (8, micro_batch):
        model = Standin(norm=nn.BatchNorm2d).double()
        learner, _ = start(make_config(**mixing), micro_batch=size, model=model)
        set_training_mode(model)
        with learner._stream.running():
            learner._accumulate(batch, size)
        gradients.append([p.grad.clone() for p in model.parameters()])
    for whole, cut in zip(*gradients, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-9, atol=1e-12)


def test_a_restored_learner_makes_the_same_next_steps() -> None:
    config = make_config(mixup=0.3)
    batches = list(ColourBatches().batches(0))
    first, progress = start(config, micro_batch=8, model=Standin(drop=0.3))
    first.take_step(batches[0], progress=progress, on_note=pytest.fail)
    progress.step = 1
    state = first.capture(progress, {}, {})
    second, _ = start(config, micro_batch=8, model=Standin(drop=0.3, seed=9))
    second.restore(state)
    for learner in (first, second):
        learner.take_step(batches[1], progress=progress, on_note=pytest.fail)
    ends = [learner.capture(progress, {}, {}) for learner in (first, second)]
    for kind in ("model", "ema", "optimizer"):
        one, other = (getattr(end, kind) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert ends[0].random == ends[1].random


def test_optimizer_state_lies_in_memory_as_its_parameter_does() -> None:
    learner, progress = start(make_config(), micro_batch=8, model=Standin())
    learner.take_step(next(ColourBatches().batches(0)), progress=progress, on_note=pytest.fail)
    learner.restore(learner.capture(progress, {}, {}))
    weight = learner.model.blocks[0].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert learner.optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def test_only_what_is_tuned_changes() -> None:
    model = Standin()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learner, progress = start(make_config(tune="pooling"), micro_batch=8, model=model)
    learner.take_step(next(ColourBatches().batches(0)), progress=progress, on_note=pytest.fail)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"head.weight", "cls_token", "blocks.0.norm.weight"} <= changed
    assert not {"stem.weight", "blocks.0.conv.weight", "blocks.1.gamma"} & changed


def test_bfloat16_changes_the_arithmetic_and_not_the_weights_type() -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        learner, progress = start(make_config(precision=precision), micro_batch=8, model=Standin())
        step = learner.take_step(next(ColourBatches().batches(0)), progress=progress, on_note=pytest.fail)
        losses.append(step.loss)
        assert {tensor.dtype for tensor in learner.model.state_dict().values()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)


def test_gradient_checkpointing_reaches_the_network_and_ends_with_the_fit() -> None:
    model = Standin()
    learner, _ = start(make_config(grad_checkpointing=True), micro_batch=8, model=model)
    assert model.checkpointing
    learner.release()
    assert not model.checkpointing
    assert not model.training


@pytest.mark.parametrize("where", ["optimizer", "average"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_memory_that_runs_out_while_weights_change_is_not_tried_again(
    where: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half of the weights that had moved moved twice."""
    learner, progress = start(make_config(ema=True), micro_batch=8, model=Standin())
    calls = []

    def fail(*_: object, **__: object) -> None:
        calls.append(1)
        raise error

    monkeypatch.setattr(*((learner.optimizer, "step") if where == "optimizer" else (learner.average, "update")), fail)
    with pytest.raises(ResourceError, match="the memory ran out while step 1 changed the weights") as caught:
        learner.take_step(next(ColourBatches(size=96).batches(0)), progress=progress, on_note=pytest.fail)
    assert len(calls) == 1
    assert progress.micro_batch == 8
    assert "--size 64" in caught.value.hint
    assert "--set train.grad_checkpointing=true" in caught.value.hint


def test_what_needs_less_memory_is_told_without_what_is_in_use() -> None:
    learner, _ = start(make_config(tune="pooling", grad_checkpointing=True), micro_batch=8, model=Standin())
    hint = learner._tell_fitting(next(ColourBatches(size=16).batches(0)))
    assert hint == "what needs less: --tune probe, which keeps nothing for a way back"


@pytest.mark.parametrize("trouble", ["memory", "nonsense"])
def test_statistics_of_a_step_that_was_not_made_are_not_kept(trouble: str) -> None:
    """New BatchNorms saw a batch twice where it was cut, and kept the nonsense of one that was skipped."""
    batches = list(ColourBatches().batches(0))
    whole = Standin(norm=nn.BatchNorm2d)
    learner, progress = start(make_config(), micro_batch=4, model=whole)
    learner.take_step(batches[0], progress=progress, on_note=pytest.fail)
    model = Standin(norm=nn.BatchNorm2d)
    other, progress = start(make_config(), micro_batch=8, model=model)
    assert other.fresh_norms
    if trouble == "memory":
        broken = model.blocks[1].register_forward_hook(fail_first_time())
        other.take_step(batches[0], progress=progress, on_note=lambda _: None)
        broken.remove()
    else:
        step = other.take_step(
            batches[0]._replace(images=batches[0].images * torch.nan), progress=progress, on_note=pytest.fail
        )
        assert step.bad
        progress.micro_batch = 4
        other.take_step(batches[0], progress=progress, on_note=pytest.fail)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def fail_first_time():
    """A hook that runs out of memory behind the first norm, once."""
    failed = []

    def hook(*_: object) -> None:
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("pretended")

    return hook


class SecondOfTwo(Ranks):
    """What the other process of two sees where the whole batch is one photo, which rank 0 has."""

    def count(self, fits: bool, photos: int) -> tuple[bool, int]:
        return fits, photos + 1

    def from_lead(self, value: object = None) -> object:
        return [True] * len(value) if isinstance(value, list) else value

    def sum_shares(self, tensors: Sequence[Tensor], share: float) -> None:
        assert share == 0
        assert not any(tensor.any() for tensor in tensors)


def test_in_float16_a_process_may_begin_without_a_photo() -> None:
    config, none = make_config(precision="float16"), torch.arange(0)
    learner = Learner(Standin(), config, device=CPU, ranks=SecondOfTwo(Place(1, 2, 1, 2)))
    progress = Progress(plan=config, versions={}, total_steps=2, micro_batch=8)
    learner.set_schedule(progress)
    step = learner.take_step(Batch(torch.zeros(0, 3, 16, 16), none, none), progress=progress, on_note=pytest.fail)
    assert step is not None
    assert not step.bad
    assert step.photos == 1

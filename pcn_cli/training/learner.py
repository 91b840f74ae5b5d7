"""The moving parts of a fit: network, optimizer, schedule, averaged weights, randomness; how one step is made."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from pcn_cli.errors import ResourceError, RunError
from pcn_cli.tensors.network import Batch, Network
from pcn_cli.tensors.private import allow_compiled_variants
from pcn_cli.training.checkpoint import Progress, TrainState
from pcn_cli.training.device import is_out_of_memory
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.objective import Objective
from pcn_cli.training.optim import (
    average_decay,
    choose_trainable,
    fresh_norms,
    make_optimizer,
    make_schedule,
    set_training_mode,
)
from pcn_cli.training.random_stream import RandomStream
from pcn_cli.training.teacher import Distillation


class Step(NamedTuple):
    """What one step gave; with `bad_photos` (indices into the training files) nothing was learned from it."""

    loss: float
    bad_photos: tuple[int, ...] = ()


class Learner:
    """A network that learns by steps; `set_schedule` comes before the first.

    Args:
        model: offers `tensors.network.Network`; changed in place, moved to `device` in channels-last memory.
        teacher_logits: (photos, teacher's classes) by the batches' indices, which are learned as well.
    """

    def __init__(
        self, model: nn.Module, config: FitConfig, *, device: torch.device, teacher_logits: Tensor | None = None
    ) -> None:
        # BatchNorms that were never trained have no statistics worth keeping: theirs are learned.
        self.fresh_norms = fresh_norms(model) if config.tune == "all" else ()
        self._distillation = None
        if teacher_logits is not None:
            self._distillation = Distillation(model, teacher_logits, weight=config.teacher_weight, seed=config.seed)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.device = config, device
        chosen = choose_trainable(model, config.tune)
        self._names: dict[Tensor, str] = {model.get_parameter(name): name for name in chosen}
        cast("Network", model).set_grad_checkpointing(config.grad_checkpointing)
        self.optimizer = make_optimizer(
            model,
            lr=config.lr,
            weight_decay=config.weight_decay,
            trunk_ratio=1.0 if config.tune == "probe" else config.trunk_ratio,
        )
        self.average = ModelEmaV3(model, use_warmup=True) if config.ema else None  # shorter while it is young
        if config.compile:
            compile_trunk(model, device)  # behind the average, which is validated and stays as it is
        self._objective = Objective(config)
        self._stream = RandomStream(config.seed, device)

    @property
    def eval_model(self) -> nn.Module:
        """The network that is validated: the averaged one where there is one, in evaluation mode."""
        model: nn.Module = self.model if self.average is None else self.average.module
        return model.eval()

    @property
    def lr(self) -> float:
        """The head's learning rate in the step just made."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def set_schedule(self, progress: Progress) -> None:
        """Spread warm-up, cosine and average over all steps of `progress`, at its share of the configured rate."""
        lr = self.config.lr * (self.config.batch_size / 64) ** 0.5 * progress.lr_factor
        steps = progress.total_steps
        self._schedule = make_schedule(self.optimizer, lr=lr, steps=steps, warmup=self.config.warmup)
        self._schedule.step_update(progress.step)  # the rate of the step just made, which an epoch's row may still show
        if self.average is not None:
            self.average.decay = average_decay(steps)

    def take_step(self, batch: Batch, *, progress: Progress, on_note: Callable[[str], None]) -> Step:
        """One optimizer step on a batch, or none where its numbers are not finite.

        Where memory runs out, `progress.micro_batch` is halved and the same step done again, with the same randomness.

        Raises:
            ResourceError: one photo alone does not fit, or memory ran out while the weights were changed.
        """
        before, figures = self._stream.states, [figure.clone() for figure in self._statistics()]
        while True:
            try:
                self._schedule.step_update(progress.step + 1)
                gradient = self._compute_gradient(batch, progress.micro_batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if progress.micro_batch == 1:
                    raise ResourceError(
                        "one photo alone does not fit into memory", self._tell_fitting(batch)
                    ) from error
            else:
                step = self._learn(batch, *gradient, step=progress.step + 1)
                if step.bad_photos:
                    self._put_back(figures)
                return step
            # Outside the except block: there the exception would keep the failed step's activations alive.
            self._stream.states = before
            self._put_back(figures)
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.type != "cpu":
                torch.get_device_module(self.device).empty_cache()
            progress.micro_batch = (min(progress.micro_batch, len(batch.targets)) + 1) // 2
            on_note(
                f"out of memory: going on with {progress.micro_batch} photos at once, {len(batch.targets)} per step"
            )

    def _statistics(self) -> list[Tensor]:
        """What the norms that learn their statistics have gathered: the one thing that the way forward changes."""
        return [figure for name in self.fresh_norms for figure in self.model.get_submodule(name).buffers()]

    def _put_back(self, figures: list[Tensor]) -> None:
        for figure, before in zip(self._statistics(), figures, strict=True):
            figure.copy_(before)

    def _compute_gradient(self, batch: Batch, micro_batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """The batch's mean loss, its logits (B, K), and the norm of the gradient that is in the parameters, clipped."""
        set_training_mode(self.model, learn_statistics=self.fresh_norms)
        self.optimizer.zero_grad(set_to_none=True)
        with self._stream.running():
            loss, outputs = self._accumulate(batch, micro_batch)
        return loss, outputs, nn.utils.clip_grad_norm_(self._names.keys(), self.config.clip_grad)

    def _learn(self, batch: Batch, loss: Tensor, outputs: Tensor, norm: Tensor, *, step: int) -> Step:
        if not bool(torch.isfinite(loss + norm)):
            self.optimizer.zero_grad(set_to_none=True)
            rows = ~torch.isfinite(outputs).all(dim=1).cpu()  # (B,); all photos share the blame where no output tells
            blamed = batch.indices[rows] if rows.any() else batch.indices
            return Step(loss=float(loss), bad_photos=tuple(blamed.tolist()))
        try:
            self.optimizer.step()
            if self.average is not None:
                self.average.update(self.model, step=step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # Some weights have moved and others have not: half a step is neither done again nor built upon.
            message = f"the memory ran out while step {step} changed the weights"
            raise ResourceError(message, self._tell_fitting(batch)) from error
        return Step(loss=float(loss))

    def _tell_fitting(self, batch: Batch) -> str:
        """What needs less memory than this fit, from what changes least to what changes most."""
        side = batch.images.shape[-1] * 2 // 3 // 32 * 32
        ways = [] if self.config.grad_checkpointing else ["--set train.grad_checkpointing=true"]
        ways += ["--tune pooling, which changes few weights"] if self.config.tune == "all" else []
        ways += [f"--size {side}, less than half the pixels"] if side >= 32 else []
        return f"what needs less: {'; '.join([*ways, '--tune probe, which keeps nothing for a way back'])}"

    def _accumulate(self, batch: Batch, micro_batch: int) -> tuple[Tensor, Tensor]:
        """The batch's mean loss, with its gradient in the parameters, and its logits (B, K)."""
        images = batch.inputs(self.device)
        images, targets = self._objective.mix(images, batch.targets.to(self.device, non_blocking=True))
        total, outputs = torch.zeros((), device=self.device), []
        pieces = (torch.split(tensor, micro_batch) for tensor in (images, targets, batch.indices))
        for some, wanted, indices in zip(*pieces, strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
                some = some.contiguous(memory_format=torch.channels_last)
                if self._distillation is None:
                    logits, teacher_loss = self.model(some), torch.zeros(())
                else:
                    logits, teacher_loss = self._distillation.forward(some, indices)
            # Weighted by its share, so that a ragged last micro-batch counts per photo like the others.
            loss = (self._objective(logits, wanted) + teacher_loss) * (len(some) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            outputs.append(logits.detach())
        return total, torch.cat(outputs)

    def capture(self, progress: Progress, best: dict[str, Tensor]) -> TrainState:
        """Copies of everything that must survive."""
        optimizer = {
            f"{key}.{self._names[parameter]}": _copy(value)
            for parameter, values in self.optimizer.state.items()
            for key, value in values.items()
        }
        return TrainState(
            progress=replace(progress),
            random=self._stream.to_text(),
            model=copy_state(self.model),
            ema=copy_state(self.average.module) if self.average is not None else {},
            optimizer=optimizer,
            best=best,
        )

    def restore(self, state: TrainState) -> None:
        """Be what `capture` saw; RunError where that is of another network."""
        try:
            self.model.load_state_dict(state.model)
            if self.average is not None:
                self.average.module.load_state_dict(state.ema)
        except RuntimeError as error:
            raise RunError("the checkpoint is of another network", "start a new run") from error
        self.optimizer.state.clear()
        for key, value in state.optimizer.items():
            kind, name = key.split(".", 1)
            parameter = self.model.get_parameter(name)
            # The optimizer's fused kernel walks memory: its state lies in memory as the parameter does (channels-last).
            like = torch.empty_like(parameter) if value.dim() else value.to(self.device)
            self.optimizer.state[parameter][kind] = like.copy_(value)
        self.optimizer.zero_grad(set_to_none=True)
        self._stream.from_text(state.random)
        self.fresh_norms = state.progress.fresh_norms
        self.set_schedule(state.progress)

    def release(self) -> None:
        """Give the network back for evaluation: no gradients kept, no checkpointed activations."""
        self.optimizer.zero_grad(set_to_none=True)
        if self._distillation is not None:
            self._distillation.remove_head()
        cast("Network", self.model).set_grad_checkpointing(False)
        self.model.eval()


def compile_trunk(model: nn.Module, device: torch.device) -> None:
    """Let each part of the trunk be compiled on its own when it first runs: like parts share one compilation.

    Raises:
        ResourceError: the processor's code needs a C++ compiler, and there is none.
    """
    compilers = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
    if device.type == "cpu" and not any(name and shutil.which(name) for name in compilers):
        raise ResourceError(
            "train.compile needs a C++ compiler, and there is none", "install g++, or leave train.compile out"
        )
    for part in cast("Network", model).compilable():
        part.compile(dynamic=True)
    # The blocks are one function with other weights; torch's limit counts each set of weights as a variant of it.
    allow_compiled_variants(256)


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """The network's tensors as contiguous copies on the CPU."""
    return {name: _copy(tensor) for name, tensor in model.state_dict().items()}


def _copy(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU."""
    return tensor.detach().to("cpu", copy=True).contiguous()

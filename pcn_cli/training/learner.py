"""The moving parts of a fit: network, optimizer, schedule, averaged weights, randomness; how one step is made."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from pcn_cli.errors import ResourceError, RunError
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.tensors.network import Batch, Network
from pcn_cli.training.checkpoint import Progress, TrainState
from pcn_cli.training.compiled import compile_trunk
from pcn_cli.training.copies import copy_state, copy_tensor, on_cpu
from pcn_cli.training.device import is_asynchronous, is_out_of_memory
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.optim import (
    average_decay,
    choose_trainable,
    fresh_norms,
    make_optimizer,
    make_schedule,
    set_training_mode,
)
from pcn_cli.training.random_stream import RandomState, RandomStream
from pcn_cli.training.ranks import ALONE, Ranks
from pcn_cli.training.steps import MadeStep, Step, look_at_steps
from pcn_cli.training.teacher import Distillation, Teacher

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Learner:
    """A network that learns by steps; `set_schedule` comes before the first.

    Args:
        model: offers `tensors.network.Network`; changed in place, moved to `device` in channels-last memory.
        teacher: whose answers are learned as well; moved as the network is.
        ranks: the processes that learn together, each from its share of every batch; all end with the same weights.
    """

    def __init__(
        self,
        model: nn.Module,
        config: FitConfig,
        *,
        device: torch.device,
        teacher: Teacher | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        from timm.utils import ModelEmaV3  # timm takes a second, for which what only answers need not wait

        from pcn_cli.training.objective import Objective  # by way of timm

        # BatchNorms that were never trained have no statistics worth keeping: theirs are learned.
        self.fresh_norms = fresh_norms(model) if config.tune == "all" else ()
        self._distillation = None
        if teacher is not None:
            teacher.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._distillation = Distillation(model, teacher, weight=config.teacher_weight, seed=config.seed)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.device, self.ranks = config, device, ranks
        chosen = choose_trainable(model, config.tune)
        self._names: dict[Tensor, str] = {model.get_parameter(name): name for name in chosen}
        self._learning: list[Tensor] = []  # those that a step gives a gradient; known after the first
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
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        # Where norms learn, a bad step must be known at once: what they gathered is put back.
        self.looks_at_once = not is_asynchronous(device) or bool(self.fresh_norms)
        self.photos = 0  # of the last step, by all processes
        self._made: list[MadeStep] = []
        self._is_prepared = False  # for training, ever; who evaluates the network undoes it
        self._stream = RandomStream(config.seed, device, rank=ranks.rank)

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

    @property
    def has_settled(self) -> bool:
        """Whether the numbers of all steps were looked at."""
        return not self._made

    def keep_weights(self) -> dict[str, Tensor]:
        """Copies of the tensors of `eval_model`: on the device, where copies to the CPU would be waited for."""
        if not is_asynchronous(self.device):
            return copy_state(self.eval_model)
        return {name: tensor.detach().clone() for name, tensor in self.eval_model.state_dict().items()}

    def settle(self) -> list[Step]:
        """The steps whose numbers were not looked at yet, in their order; here the device is waited for."""
        made, self._made = self._made, []
        # In float16 no scale may be small enough to make the gradient finite.
        hopeless = bool(made) and self._scaler.is_enabled() and self._scaler.get_scale() < 1
        return look_at_steps(made, self.ranks, hopeless=hopeless)

    def take_step(self, batch: Batch, *, progress: Progress, on_note: Callable[[str], None]) -> Step | None:
        """One optimizer step on a batch, or none where its numbers are not finite.

        What comes back is None where these are looked at later, by `settle`: the weights are spared all the same.

        Where memory runs out, `progress.micro_batch` is halved and the same step done again, with the same randomness:
        by all processes where it ran out in one of them.

        Raises:
            ResourceError: one photo alone does not fit, or memory ran out while the weights were changed.
        """
        before, figures = self._stream.states, [figure.clone() for figure in self._statistics()]
        while True:
            computed = None
            try:
                self._schedule.step_update(progress.step + 1)
                computed = self._compute_gradient(batch, progress.micro_batch, step=progress.step + 1)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if progress.micro_batch == 1:
                    raise ResourceError(
                        "one photo alone does not fit into memory", self._tell_fitting(batch)
                    ) from error
            # Outside the except block: there the exception would keep the failed step's activations alive.
            fits, photos = self.ranks.count(computed is not None, len(batch.targets))
            if computed is not None and fits:
                self.photos = photos
                self._learn(batch, *computed, photos=photos, step=progress.step + 1)
                if not self.looks_at_once:
                    return None
                (step,) = self.settle()
                if step.bad:
                    self._put_back(figures)
                return step
            computed = None
            self._stream.states = before
            self._put_back(figures)
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.type != "cpu":
                torch.get_device_module(self.device).empty_cache()
            progress.micro_batch = max(1, (min(progress.micro_batch, len(batch.targets)) + 1) // 2)
            on_note(f"out of memory: going on with {progress.micro_batch} photos at once, {photos} per step")

    def _statistics(self) -> list[Tensor]:
        """What the norms that learn their statistics have gathered: the one thing that the way forward changes."""
        return [figure for name in self.fresh_norms for figure in self.model.get_submodule(name).buffers()]

    def _put_back(self, figures: list[Tensor]) -> None:
        for figure, before in zip(self._statistics(), figures, strict=True):
            figure.copy_(before)

    def _compute_gradient(self, batch: Batch, micro_batch: int, *, step: int) -> tuple[Tensor, Tensor]:
        """The batch's mean loss, its gradient being in the parameters, and its logits (B, K)."""
        if not (self._is_prepared and self.model.training):  # it walks all modules
            set_training_mode(self.model, learn_statistics=self.fresh_norms)
            self._is_prepared = True
        self.optimizer.zero_grad(set_to_none=True)
        if not len(batch.targets):  # of a small batch another process has all photos
            nothing = torch.zeros((), device=self.device)
            self._scaler.scale(nothing)  # who never scaled has no scale that `unscale_` could take back
            return nothing, torch.zeros((0, 1))
        with self._stream.running(step=step):
            return self._accumulate(batch, micro_batch)

    def _learn(self, batch: Batch, loss: Tensor, outputs: Tensor, *, photos: int, step: int) -> None:
        if self.ranks.world > 1:
            loss = self._gather_gradient(loss, share=len(batch.targets) / photos)
            if photos < 2 * self.ranks.world:  # who had no pair of photos to mix drew nothing
                text = self.ranks.from_lead(to_plain(self._stream.to_text()))
                self._stream.from_text(from_plain(RandomState, text))
        try:
            self._scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self._names.keys(), self.config.clip_grad)
            # A gradient that is too large for float16 makes the scale smaller, and is no harm.
            bad = ~torch.isfinite(loss if self._scaler.is_enabled() else loss + norm)
            rows = ~torch.isfinite(outputs).all(dim=1)  # (B,)
            self._made.append(MadeStep(step, self.lr, photos, loss, bad, batch.indices, rows))
            if self.looks_at_once and bool(bad):
                self.optimizer.zero_grad(set_to_none=True)
                self._scaler.update()
                return
            self._change_weights(bad)
            if self.average is not None:
                self.average.update(self.model, step=step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # Some weights have moved and others have not: half a step is neither done again nor built upon.
            message = f"the memory ran out while step {step} changed the weights"
            raise ResourceError(message, self._tell_fitting(batch)) from error

    def _change_weights(self, bad: Tensor) -> None:
        """Let the optimizer do its step; where the numbers of a card are `bad`, its kernel leaves the weights alone.

        Their average still comes a little closer to them, which it does not where bad steps are known at once.
        """
        if self._scaler.is_enabled():
            self._scaler.step(self.optimizer)
            self._scaler.update()
            return
        if not self.looks_at_once:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, bad.float()  # type: ignore[attr-defined]
        self.optimizer.step()

    def _gather_gradient(self, loss: Tensor, *, share: float) -> Tensor:
        """The mean loss over the photos of all processes, with its gradient in the parameters of each.

        Sums of their own rather than torch's DistributedDataParallel: that sums while the gradient is computed, so
        where memory runs out in one process the others would wait for it for ever, and no step could be done again.
        """
        if not self._learning:
            mask = self.ranks.from_lead([parameter.grad is not None for parameter in self._names])
            self._learning = [parameter for parameter, learns in zip(self._names, mask, strict=True) if learns]
        for parameter in self._learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [cast("Tensor", parameter.grad) for parameter in self._learning]
        loss = loss.reshape(1)
        # What norms have gathered is averaged as well: they saw other photos here than elsewhere.
        figures = [figure for figure in self._statistics() if figure.is_floating_point()]
        self.ranks.sum_shares([*gradients, *figures, loss], share)
        return loss[0]

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
        images, targets = self._objective.mix(
            images, batch.targets.to(self.device, non_blocking=is_asynchronous(self.device))
        )
        total, outputs = torch.zeros((), device=self.device), []
        pieces = (torch.split(tensor, micro_batch) for tensor in (images, targets))
        for some, wanted in zip(*pieces, strict=True):
            kind = _AUTOCAST.get(self.config.precision)
            with torch.autocast(self.device.type, kind, enabled=kind is not None):
                some = some.contiguous(memory_format=torch.channels_last)
                if self._distillation is None:
                    logits, teacher_loss = self.model(some), torch.zeros(())
                else:
                    logits, teacher_loss = self._distillation.forward(some)
            # Weighted by its share, so that a ragged last micro-batch counts per photo like the others.
            loss = (self._objective(logits, wanted) + teacher_loss) * (len(some) / len(images))
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            outputs.append(logits.detach())
        return total, torch.cat(outputs)

    def capture(
        self, progress: Progress, best: dict[str, Tensor], runners_up: Mapping[int, dict[str, Tensor]]
    ) -> TrainState:
        """Copies of everything that must survive; `runners_up` are weights on the CPU by epoch."""
        optimizer = {
            f"{key}.{self._names[parameter]}": copy_tensor(value)
            for parameter, values in self.optimizer.state.items()
            for key, value in values.items()
        }
        scale = self._scaler.state_dict()
        if scale:
            progress.loss_scale, progress.loss_scale_steps = scale["scale"], scale["_growth_tracker"]
        return TrainState(
            progress=replace(progress),
            random=self._stream.to_text(),
            model=copy_state(self.model),
            ema=copy_state(self.average.module) if self.average is not None else {},
            optimizer=optimizer,
            best=on_cpu(best),
            runners_up={
                f"{epoch}.{name}": tensor for epoch, state in runners_up.items() for name, tensor in state.items()
            },
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
        if self._scaler.is_enabled() and state.progress.loss_scale:
            scale = {"scale": state.progress.loss_scale, "_growth_tracker": state.progress.loss_scale_steps}
            self._scaler.load_state_dict(self._scaler.state_dict() | scale)
        self._made = []
        self.fresh_norms = state.progress.fresh_norms
        self.set_schedule(state.progress)

    def release(self) -> None:
        """Give the network back for evaluation: no gradients kept, no checkpointed activations."""
        self.optimizer.zero_grad(set_to_none=True)
        if self._distillation is not None:
            self._distillation.remove_head()
        cast("Network", self.model).set_grad_checkpointing(False)
        self.model.eval()

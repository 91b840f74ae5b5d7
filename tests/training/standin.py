"""A small network that has what training asks for, and batches that follow (seed, epoch, sample)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pcn_cli.records.model import Preprocessing
from pcn_cli.tensors.network import Batch
from pcn_cli.training.fit import FitCallback, FitResult, fit
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.learner import Learner
from pcn_cli.training.ranks import ALONE, Ranks
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.teacher import Teacher

CLASSES = ("ash", "beech", "cedar")


class Block(nn.Module):
    def __init__(self, width: int, drop: float, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width) if norm is nn.GroupNorm else norm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        branch = self.gamma[:, None, None] * F.gelu(self.conv(self.norm(x)))
        if self.training and self.drop:
            kept = torch.rand(len(x), 1, 1, 1) >= self.drop
            branch = branch * kept / (1 - self.drop)
        return x + branch


class Standin(nn.Module):
    """Stem, blocks, attention over the grid by one class token, norm, head."""

    pooling_prefixes = ("cls_token", "pool.", "norm.", "head.")

    def __init__(
        self, *, width: int = 8, depth: int = 2, drop: float = 0.0, norm: type[nn.Module] = nn.GroupNorm, seed: int = 0
    ) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
            self.stem = nn.Conv2d(3, width, 3, stride=4, padding=1, bias=False)
            self.blocks = nn.ModuleList(Block(width, drop, norm) for _ in range(depth))
            self.pool = nn.Linear(width, width)
            self.norm = nn.LayerNorm(width)
            self.dropout = nn.Dropout(drop)
            self.head = nn.Linear(width, len(CLASSES))
        self.checkpointing = False
        self.largest_batch = 10**9  # above it "memory" runs out

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        if len(images) > self.largest_batch:
            raise torch.OutOfMemoryError("pretended: out of memory")
        x = self.stem(images)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing and self.training else block(x)
        return x

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        tokens = self.pool(tokens.flatten(2).transpose(1, 2))  # (B, C, h, w) → (B, N, C)
        weights = (tokens @ self.cls_token.transpose(1, 2)).softmax(dim=1)  # (B, N, 1)
        pooled = self.dropout(self.norm((weights * tokens).sum(dim=1)))
        return pooled if pre_logits else self.head(pooled)

    def get_classifier(self) -> nn.Module:
        return self.head

    def compilable(self) -> list[nn.Module]:
        return list(self.blocks)

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        return {"stem": r"^stem", "blocks": r"^blocks\.(\d+)", "pooling": r"^(?:cls_token|pool\.|norm\.)"}

    def no_weight_decay(self) -> set[str]:
        return {"cls_token"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.checkpointing = enable


class Colours(nn.Module):
    """A teacher's network that knows the tints of `ColourBatches` under other names, among five classes."""

    num_classes = 5

    def forward(self, images: Tensor) -> Tensor:
        return F.pad(6 * images.mean(dim=(2, 3)), (1, 1))


def make_teacher() -> Teacher:
    plain = Preprocessing(height=16, width=16)
    return Teacher(Colours(), plain, given=plain)


class ColourBatches:
    """Noise tinted by class; like a real loader it draws from the global generators as it goes."""

    def __init__(self, count: int = 22, *, batch_size: int = 8, seed: int = 0, size: int = 16) -> None:
        self.targets = torch.arange(count) % len(CLASSES)
        rng = torch.Generator().manual_seed(1)
        self.images = torch.randn(count, 3, size, size, generator=rng)
        for number, target in enumerate(self.targets):
            self.images[number, target] += 0.7
        self.batch_size, self.seed = batch_size, seed
        self.served = 0

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        torch.rand(1)
        order = torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(len(self.targets)))
        for rows in order.split(self.batch_size)[start:]:
            self.served += 1
            yield Batch(self.images[rows].contiguous(memory_format=torch.channels_last), self.targets[rows], rows)


def validate(model: nn.Module, batches: ColourBatches) -> Validation:
    torch.rand(3)  # validation may use randomness without disturbing training
    assert not model.training
    with torch.no_grad():
        logits = model(batches.images)
    hit = (logits.argmax(1) == batches.targets).float().mean()
    return Validation(
        log_loss=float(F.cross_entropy(logits, batches.targets)), accuracy=float(hit), macro_f1=float(hit)
    )


def make_config(**changes: object) -> FitConfig:
    values: dict[str, object] = {
        "classes": CLASSES,
        "fingerprint": "f" * 64,
        "epochs": 3,
        "batch_size": 8,
        "micro_batch": 8,
        "lr": 5e-3,
        **changes,
    }
    return FitConfig(**values)  # type: ignore[arg-type]


class Callbacks(FitCallback):
    """Hands each kind of news to a function."""

    def __init__(self, **functions: Callable[..., object]) -> None:
        for name, function in functions.items():
            setattr(self, name, function)


def run_fit(
    model: nn.Module,
    batches: ColourBatches,
    check: Callable[[nn.Module], Validation] | None = None,
    *,
    config: FitConfig,
    teacher: Teacher | None = None,
    ranks: Ranks = ALONE,
    **options: object,
) -> FitResult:
    """A fit on the CPU, validated on its own batches; options called `on_…` are callbacks."""
    callback = Callbacks(**{name: options.pop(name) for name in [*options] if name.startswith("on_")})  # type: ignore[arg-type]
    options.setdefault("stop", StopRequest())
    learner = Learner(model, config, device=torch.device("cpu"), teacher=teacher, ranks=ranks)
    check = check or (lambda learned: validate(learned, batches))
    return fit(learner, batches, check, callback=callback, **options)  # type: ignore[arg-type]

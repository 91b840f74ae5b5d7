"""The recipe: one field is one line and one sentence; the sentence is what `pcn recipes show` and the README print.

A field that is None is chosen automatically (`recipe/choose.py`), and the run keeps the choice with its reason.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pcn_cli.recipe.duration import parse_duration
from pcn_cli.records.model import Pooling


def _checked_duration(text: str) -> str:
    parse_duration(text)
    return text


def _auto_is_open(value: Any) -> Any:  # noqa: ANN401 - whatever was written
    return None if value == "auto" else value


Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Folds = Annotated[int, Field(ge=2, le=20)]
PartShare = Annotated[float, Field(gt=0, lt=0.5)]
Side = Annotated[int, Field(ge=32, le=2048)]
ThumbnailSide = Annotated[int, Field(ge=64, le=1024)]
Workers = Annotated[int, Field(ge=0, le=64)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Duration = Annotated[str, AfterValidator(_checked_duration)]
Fit = Literal["crop", "pad", "squash"]
Tune = Literal["probe", "pooling", "all"]
Balance = Annotated[Literal["none", "loss", "sampler"] | None, BeforeValidator(_auto_is_open)]
Monitor = Literal["log_loss", "macro_f1"]
Precision = Literal["float32", "bfloat16"]
Level = Literal["none", "light", "medium", "strong"]

Look = Literal["spotlight", "heat", "contour"]


def _field(default: Any, sentence: str) -> Any:  # noqa: ANN401 - stands where any field's default stands
    return Field(default, description=sentence)


class Section(BaseModel):
    """A section of the recipe: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """Which photos, and how they become the network's input."""

    labels: str | None = _field(
        None, "A CSV with file,label[,split][,group], or labels for several; otherwise the folders name the classes."
    )
    fit: Fit | None = _field(None, "How a photo fits the square input; otherwise the model's own.")
    size: Side | None = _field(None, "Side of the input in pixels; otherwise the model's own.")
    crop_pct: Ratio | None = _field(None, "Share of the resized shorter side that `fit: crop` keeps.")
    max_unreadable: Share = _field(0.05, "Share of unreadable files above which training is refused.")


class SplitSection(Section):
    """Which photos train, which select, which are only ever measured."""

    val: PartShare | None = _field(None, "Share of the photos for validation.")
    test: PartShare | None = _field(None, "Share of the photos for the test.")
    group_by: str | None = _field(
        None, "Photos of one group stay in one part: a column of the table, or a pattern of names."
    )


class ModelSection(Section):
    """Which network."""

    name: str = _field("s60", "A card, `timm:NAME`, `timm:local-dir:FOLDER`, a run or a model folder.")
    pretrained: bool = _field(True, "Start from the model's weights; otherwise from random numbers.")
    pooling: Pooling | None = _field(None, "One class token for all classes, or one token and one map per class.")
    drop_path: Rate = _field(0.0, "Stochastic depth of the trunk while it is tuned.")
    dropout: Rate = _field(0.0, "Dropout in the pooling block while training.")


class TrainSection(Section):
    """How the network learns."""

    tune: Tune | None = _field(None, "What learns: the pooling on cached tokens, with the norms, or everything.")
    epochs: Count | None = _field(None, "Passes over the training photos when tuning.")
    probe_epochs: CountOrZero = _field(40, "Passes over the cached tokens of the probe; 0: tune without a probe.")
    lr: Positive | None = _field(None, "Learning rate of the head at batch 64; it is scaled by √(batch/64).")
    probe_lr: Positive = _field(1e-3, "Learning rate of the probe at batch 64; it is scaled by √(batch/64).")
    batch_size: Count | None = _field(None, "Photos per optimizer step.")
    micro_batch: Count | None = _field(None, "Photos per forward pass; the gradients add up to batch_size.")
    weight_decay: NotNegative = _field(0.05, "AdamW's weight decay; none on one-dimensional tensors and class tokens.")
    clip_grad: Positive = _field(1.0, "Largest norm of the gradient.")
    warmup: Share = _field(0.1, "Share of the steps in which the rate rises.")
    trunk_ratio: Ratio = _field(0.03, "Rate of the stem over the rate of the head (layer decay from end to end).")
    ema: bool = _field(True, "Average the weights over training; the average is what is evaluated.")
    balance: Balance = _field(
        None, "Uneven classes: weigh rare ones more in the loss, draw them more often (sampler), or none of it."
    )
    label_smoothing: Rate = _field(0.1, "Label smoothing of the loss.")
    mixup: NotNegative | None = _field(None, "Mixup alpha.")
    cutmix: NotNegative | None = _field(None, "CutMix alpha; with class tokens it also mixes the probe's tokens.")
    monitor: Monitor | None = _field(None, "The validation figure that picks the best epoch.")
    patience: Count | None = _field(None, "Epochs without a better validation figure after which tuning stops.")
    precision: Precision | None = _field(None, "Arithmetic of the forward pass while tuning.")
    grad_checkpointing: bool = _field(False, "Save memory by computing activations twice.")
    compile: bool = _field(False, "Compile the trunk once, so that each step of tuning is faster.")
    teacher: str | None = _field(None, "A trained network, such as `timm:NAME`, whose answers are learned as well.")
    teacher_weight: Positive = _field(1.0, "Weight of the teacher's loss beside that of the labels.")
    teacher_size: Side | None = _field(None, "Side of the teacher's input in pixels; otherwise its own.")
    time: Duration | None = _field(None, "Time limit for tuning, such as 20m or 2h; the schedule ends within it.")
    device: str | None = _field(None, "cuda, cuda:1, mps or cpu.")
    workers: Workers | None = _field(None, "Processes that load photos; 0 loads them in the main process.")
    checkpoint_minutes: Positive = _field(5.0, "Longest time between two checkpoints; each epoch ends with one too.")
    keep_checkpoints: bool = _field(False, "Keep the checkpoints of a finished run.")


class AugmentSection(Section):
    """How training photos are varied."""

    level: Level | None = _field(None, "light: crop, flip; medium: and colour, erasing; strong: and random operations.")
    flip: bool = _field(True, "Mirror left and right, in the probe too; switch off when sides or digits matter.")


class EvaluateSection(Section):
    """What is measured."""

    top_k: Count = _field(5, "Also measure top-k accuracy, where there are more classes than k.")
    batch_size: Count = _field(32, "Photos per forward pass in evaluation and prediction.")
    boxes: str | None = _field(None, "A CSV of boxes around the objects, which the maps are tested against.")
    folds: Folds | None = _field(None, "Also cross-validate the probe with so many folds, 2 to 20.")
    target_accuracy: Ratio | None = _field(None, "Wished share of right answers; less sure photos become `unknown`.")


class ExplainSection(Section):
    """What is drawn."""

    look: Look = _field("spotlight", "How overlays are drawn.")
    checks: Annotated[int, Field(ge=0, le=200)] = _field(
        100, "Test photos on which the maps are checked with further passes and random orders; 0: no such checks."
    )
    overlays: Annotated[int, Field(ge=0)] = _field(500, "Most overlay pictures written into the run, uncertain first.")


class ReportSection(Section):
    """What the report shows."""

    title: str | None = _field(None, "Heading of the report; otherwise the run's name.")
    thumbnail: ThumbnailSide = _field(384, "Longer side of the report's pictures in pixels.")


class Recipe(Section):
    """Everything that is wanted of a run."""

    seed: Seed = _field(0, "Seed of every random choice.")
    data: DataSection = DataSection()
    split: SplitSection = SplitSection()
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    augment: AugmentSection = AugmentSection()
    evaluate: EvaluateSection = EvaluateSection()
    explain: ExplainSection = ExplainSection()
    report: ReportSection = ReportSection()

"""The recipe: one field is one line and one sentence; the sentence is what `pcn recipes show` and the README print.

A field that is None is chosen automatically (`recipe/choose.py`), and the choice is written into the run with its reason.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of the recipe: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class DataSection(Section):
    """Which photos, and how they become the network's input."""

    labels: str | None = Field(
        None, description="A CSV with file,label[,split][,group]; otherwise the folders name the classes."
    )
    fit: Literal["crop", "pad", "squash"] = Field("crop", description="How a photo fits the square input.")
    size: Annotated[int, Field(ge=32, le=2048)] | None = Field(
        None, description="Side of the input in pixels; otherwise the model's own."
    )
    crop_pct: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of the resized shorter side that `fit: crop` keeps."
    )
    max_unreadable: Share = Field(0.05, description="Share of unreadable files above which training is refused.")


class SplitSection(Section):
    """Which photos train, which select, which are only ever measured."""

    val: Annotated[float, Field(gt=0, lt=0.5)] | None = Field(None, description="Share of the photos for validation.")
    test: Annotated[float, Field(gt=0, lt=0.5)] | None = Field(None, description="Share of the photos for the test.")


class ModelSection(Section):
    """Which network."""

    name: str = Field("s60", description="A card, `timm:NAME`, `timm:local-dir:FOLDER`, a run or a model folder.")
    drop_path: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Stochastic depth of the trunk while training."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout in the pooling block while training."
    )


class TrainSection(Section):
    """How the network learns."""

    tune: Literal["probe", "pooling", "all"] | None = Field(
        None, description="What learns: the pooling on cached tokens, with the norms, or everything."
    )
    epochs: Count | None = Field(None, description="Passes over the training photos when tuning.")
    probe_epochs: Count = Field(40, description="Passes over the cached tokens of the probe.")
    lr: Positive | None = Field(None, description="Learning rate of the head at batch 64; it is scaled by √(batch/64).")
    probe_lr: Positive = Field(1e-3, description="Learning rate of the probe at batch 64.")
    batch_size: Count | None = Field(None, description="Photos per optimizer step.")
    micro_batch: Count | None = Field(None, description="Photos per forward pass; the gradients add up to batch_size.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.05, description="AdamW's weight decay, never on one-dimensional tensors or class tokens."
    )
    clip_grad: Positive = Field(1.0, description="Largest norm of the gradient.")
    warmup: Share = Field(0.1, description="Share of the steps in which the rate rises.")
    trunk_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        0.03, description="Rate of the stem over the rate of the head (layer decay from end to end)."
    )
    ema: bool = Field(True, description="Average the weights over training; the average is what is evaluated.")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Label smoothing of the loss.")
    mixup: Annotated[float, Field(ge=0)] | None = Field(None, description="Mixup alpha.")
    cutmix: Annotated[float, Field(ge=0)] = Field(0.0, description="CutMix alpha.")
    patience: Count | None = Field(
        None, description="Epochs without a better validation loss after which training stops."
    )
    precision: Literal["float32", "bfloat16"] | None = Field(
        None, description="Arithmetic of the forward pass while tuning."
    )
    grad_checkpointing: bool = Field(False, description="Save memory by computing activations twice.")
    time: str | None = Field(
        None, description="Time limit for tuning, such as 20m or 2h; the schedule is planned to end in it."
    )
    device: str | None = Field(None, description="cuda, cuda:1, mps or cpu.")
    workers: Annotated[int, Field(ge=0, le=64)] | None = Field(None, description="Processes that load photos.")
    checkpoint_minutes: Positive = Field(
        5.0, description="Longest time between two checkpoints, which also come at the end of each epoch."
    )
    keep_checkpoints: bool = Field(False, description="Keep the checkpoints of a finished run.")


class AugmentSection(Section):
    """How training photos are varied."""

    level: Literal["none", "light", "medium", "strong"] | None = Field(
        None, description="light: crop, flip; medium: wider crop, colour, erasing; strong: random operations as well."
    )
    flip: bool = Field(True, description="Mirror left and right; switch off when sides or digits matter.")


class EvaluateSection(Section):
    """What is measured."""

    top_k: Count = Field(5, description="Also measure top-k accuracy, where there are more classes than k.")
    batch_size: Count = Field(32, description="Photos per forward pass in evaluation and prediction.")


class ExplainSection(Section):
    """What is drawn."""

    look: Literal["spotlight", "heat", "contour"] = Field("spotlight", description="How overlays are drawn.")
    overlays: Annotated[int, Field(ge=0)] = Field(
        500, description="Largest number of overlay pictures written into the run, most uncertain first."
    )


class ReportSection(Section):
    """What the report shows."""

    title: str | None = Field(None, description="Heading of the report; otherwise the run's name.")
    thumbnail: Annotated[int, Field(ge=64, le=1024)] = Field(
        384, description="Longer side of the report's pictures in pixels."
    )


class Recipe(Section):
    """Everything that is wanted of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="Seed of every random choice.")
    data: DataSection = DataSection()
    split: SplitSection = SplitSection()
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    augment: AugmentSection = AugmentSection()
    evaluate: EvaluateSection = EvaluateSection()
    explain: ExplainSection = ExplainSection()
    report: ReportSection = ReportSection()

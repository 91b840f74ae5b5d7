"""The one definition of every option: its type, choices, default, sentence, where it counts, and the flag it has.

The recipe's fields, the flags of `pcn finetune` and `pcn predict`, the arguments of their Python functions,
`pcn recipes show` and the refusals are made from here. A field that is None is chosen automatically
(`recipe/choose.py`), and the run keeps the choice with its reason. The command line imports this file at its start, so
it names no pydantic; `recipe/arguments.py` asks it for the checks.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import reduce
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, Protocol, TypeVar, get_type_hints

from pcn_cli.records.arithmetic import AutocastPrecision, Engine, Precision
from pcn_cli.records.model import Pooling
from pcn_cli.records.photos import Fit


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Between what a number lies, by the names of annotated-types, whose import would delay the command line."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """What pydantic checks: the number's own schema with these bounds."""
        return {**handler(source), **{name: bound for name, bound in asdict(self).items() if bound is not None}}


Share = Annotated[float, Bounds(ge=0, le=1)]
Rate = Annotated[float, Bounds(ge=0, lt=1)]
Gigabytes = Annotated[float, Bounds(ge=0, le=1e6)]
NotNegative = Annotated[float, Bounds(ge=0)]
Positive = Annotated[float, Bounds(gt=0)]
Ratio = Annotated[float, Bounds(gt=0, le=1)]
Count = Annotated[int, Bounds(ge=1)]
CountOrZero = Annotated[int, Bounds(ge=0)]
Folds = Annotated[int, Bounds(ge=2, le=20)]
PartShare = Annotated[float, Bounds(gt=0, lt=0.5)]
Side = Annotated[int, Bounds(ge=32, le=2048)]
Draft = Annotated[int, Bounds(ge=0, le=8)]
ThumbnailSide = Annotated[int, Bounds(ge=64, le=1024)]
Workers = Annotated[int, Bounds(ge=0, le=64)]
Seed = Annotated[int, Bounds(ge=0, lt=2**32)]
Checks = Annotated[int, Bounds(ge=0, le=200)]
Tune = Literal["probe", "pooling", "all"]
Balance = Literal["none", "loss", "sampler"]
Monitor = Literal["log_loss", "macro_f1"]
Level = Literal["none", "light", "medium", "strong"]
Look = Literal["spotlight", "heat", "contour"]
Logger = Literal["tensorboard", "mlflow", "wandb", "trackio"]

# Of commands, not of a recipe.
OverlayMap = Literal["look", "evidence"]
FailOn = Literal["leak"]


def parse_duration(text: str) -> float:
    """The seconds in a text such as 90s, 20m, 2h or 1h30m.

    Raises:
        ValueError: it is not such a text, or no time at all.
    """
    match = _DURATION.fullmatch(text.replace(" ", ""))
    seconds = sum(float(n) * unit for n, unit in zip(match.groups("0"), (3600, 60, 1), strict=True)) if match else 0.0
    if seconds <= 0:
        raise ValueError(f"should be a length of time with its unit, such as 90s, 20m or 1h30m, found {text!r}")
    return seconds


# Own rather than pytimeparse's, which takes 12:30, 20 and -5m for lengths of time as well.
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)

# What an option may need in order to be noticed.
Need = Literal["tuning", "teacher", "one label"]
TUNING: tuple[Need, ...] = ("tuning",)
TEACHER: tuple[Need, ...] = ("tuning", "teacher")
ONE_LABEL: tuple[Need, ...] = ("one label",)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One field of the recipe, such as train.lr.

    `sentence` explains it. `flag` is its metavar on the command line, empty where the type says enough, None without
    a flag; `word` is its name where the argument has another, `envvar` what may stand for it. Without what it `needs`,
    only the value `neutral` is welcome. Where it is open, it is chosen "once", "anew" on each machine, or "never".
    `before` is what a run did whose recipe is older than the option, where that is not the default.
    `auto` offers that word for an open choice; `several` lets its flag be given again, though the recipe holds one;
    `told` lets the command line say unasked what was chosen; `check` raises a ValueError for what the type cannot
    refuse.
    """

    key: str
    type: Any
    default: Any
    sentence: str
    flag: str | None = None
    word: str = ""
    envvar: str | None = None
    needs: tuple[Need, ...] = ()
    neutral: Any = None
    before: Any = None
    chosen: Literal["once", "anew", "never"] = "once"
    auto: bool = False
    several: bool = False
    told: bool = False
    check: Callable[[Any], object] | None = None

    @property
    def name(self) -> str:
        """The key below its section."""
        return self.key.rpartition(".")[2]

    @property
    def argument(self) -> str:
        """What Python calls it, and the command line with dashes; `model.name` goes by its section."""
        return self.key.partition(".")[0] if self.name == "name" else self.name

    @property
    def flag_name(self) -> str:
        """The flag on the command line, for an option that has one."""
        return f"--{self.word or self.argument.replace('_', '-')}"


def option(default: T, sentence: str, **facts: Any) -> T:  # noqa: ANN401 - the fields of `Option`
    """A field with its default, its sentence, and what else `Option` says of it."""
    return field(default=default, metadata={"sentence": sentence, **facts})


class CropOptions(Protocol):
    """Which boxes are cut out of which photos; `Labelling` has it, and what answers them does."""

    @property
    def crop_boxes(self) -> Path | str | None:
        """A file of boxes."""
        ...

    @property
    def crop_confidence(self) -> float | None:
        """The least confidence of a detector."""
        ...

    @property
    def crop_category(self) -> str | None:
        """The category of a detector."""
        ...

    @property
    def load_truncated(self) -> bool:
        """Whether truncated photos are opened as far as they go."""
        ...


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """Which photos there are, and what names their class: a table, or the names of the files; otherwise the folders.

    Where boxes are cut out, each of them is an example in the place of its photo.
    """

    labels: str | None = option(
        None,
        "A CSV with the columns file, label (and split, group), or labels for several, as cat;dog; otherwise the"
        " folders name the classes.",
        flag="FILE",
        chosen="never",
    )
    file_column: str | None = option(
        None, "The column of the table that names the photos, where it has another name.", flag="NAME", chosen="never"
    )
    label_column: str | None = option(
        None, "The column of the table that names the classes, where it has another name.", flag="NAME", chosen="never"
    )
    label_from: str | None = option(
        None,
        "A regular expression that finds the class in each file's name (its first group, or else all it matches); with"
        " a slash in it, in the path below PHOTOS.",
        flag="REGEX",
        chosen="never",
    )
    crop_boxes: str | None = option(
        None,
        "Boxes to cut out, each an example of its own: a CSV with file, xmin, ymin, xmax, ymax (and label), or the JSON"
        " of COCO or MegaDetector; a box without a label has its photo's.",
        flag="FILE",
        chosen="never",
    )
    crop_confidence: Ratio | None = option(
        None, "Boxes that a detector is less sure of are passed over; 0.2 when not given.", flag="0.2", chosen="never"
    )
    crop_category: str | None = option(
        None,
        "Which of MegaDetector's boxes are cut out; `animal` when not given, where there are any.",
        flag="NAME",
        chosen="never",
    )
    load_truncated: bool = option(
        False,
        "Use a JPEG or PNG that ends too early as far as it goes, if half of it is there; one colour fills the rest.",
        flag="",
    )

    def words(self) -> tuple[str, ...]:
        """The flags and values that say the same on the command line."""
        given = ((OPTIONS[f"data.{one.name}"], getattr(self, one.name)) for one in fields(Labelling))
        return tuple(
            str(word)
            for option, value in given
            if value not in (None, False)
            for word in ((option.flag_name,) if value is True else (option.flag_name, value))
        )


@dataclass(frozen=True, kw_only=True)
class DataSection(Labelling):
    """Which photos, and how they become the network's input."""

    decisions: str | None = option(
        None,
        "A CSV with file, decision (keep, change, remove, add) and new_label, as the report's Desk saves it: labels are"
        " corrected, photos left out or added, and no photo is touched.",
        flag="FILE",
        chosen="never",
    )
    fit: Fit | None = option(None, "How a photo fits the square input; otherwise the model's own.", flag="")
    size: Side | None = option(None, "Side of the input in pixels; otherwise the model's own.", flag="N")
    crop_pct: Ratio | None = option(None, "Share of the resized shorter side that `fit: crop` keeps.")
    draft: Draft = option(
        2,
        "A large JPEG is decoded at the smallest fraction that still has so many times the pixels the network needs; 1"
        " is faster, 0 decodes all.",
        before=0,
    )
    max_unreadable: Share = option(0.05, "Share of unreadable files above which training is refused.")


@dataclass(frozen=True, kw_only=True)
class SplitSection:
    """Which photos train, which select, which are only ever measured."""

    val: PartShare | None = option(None, "Share of the photos for validation.")
    test: PartShare | None = option(None, "Share of the photos for the test.")
    group_by: str | None = option(
        None,
        "What keeps photos in one part: a column of the labels, or a regular expression on file names (its first group,"
        " or else all it matches).",
        flag="REGEX|COLUMN",
        chosen="never",
    )
    split_from: str | None = option(
        None,
        "A run whose photos keep their parts, by content; new ones are divided. So does the run that --model names.",
        flag="RUN",
        chosen="never",
    )


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """Which network."""

    name: str = option(
        "s60",
        "A card (see `pcn models list`), timm:NAME, timm:local-dir:FOLDER, hf:USER/NAME, an earlier run or a model"
        " folder; named again, the models are compared.",
        flag="NAME",
        several=True,
    )
    pretrained: bool = option(True, "Start from the model's weights; otherwise from random numbers.")
    pooling: Pooling | None = option(
        None, "One class token for all classes, or one token and one map per class.", flag=""
    )
    drop_path: Rate = option(0.0, "Stochastic depth of the trunk while it is tuned.", needs=TUNING, neutral=0.0)
    dropout: Rate = option(0.0, "Dropout in the pooling block while training.")


@dataclass(frozen=True, kw_only=True)
class TrainSection:
    """How the network learns."""

    tune: Tune | None = option(
        None, "What learns: the pooling on cached tokens, the norms as well, or everything.", flag="", told=True
    )
    epochs: Count | None = option(None, "Passes over the training photos when tuning.", flag="N", needs=TUNING)
    final_epochs: CountOrZero = option(
        2,
        "Passes over training and validation photos together, once the latter have chosen a tuned model; 0: none.",
        needs=TUNING,
        before=0,
    )
    average_epochs: Count = option(
        1,
        "Of so many of the best epochs the weights are averaged, each only if validation photos are answered better by"
        " it; 1: the best epoch alone.",
        needs=TUNING,
        neutral=1,
    )
    probe_epochs: CountOrZero = option(
        40, "Passes over the cached tokens of a probe with a token per class; 0: tune without a probe."
    )
    lr: Positive | None = option(
        None, "Learning rate of the head at batch 64; it is scaled by √(batch/64).", flag="X", needs=TUNING
    )
    probe_lr: Positive = option(
        1e-3, "Learning rate of a probe with a token per class at batch 64; it is scaled by √(batch/64)."
    )
    batch_size: Count | None = option(None, "Photos per optimizer step.", flag="N")
    micro_batch: Count | None = option(
        None, "Photos per forward pass; the gradients add up to batch_size.", needs=TUNING
    )
    weight_decay: NotNegative = option(0.05, "AdamW's weight decay; none on one-dimensional tensors and class tokens.")
    clip_grad: Positive = option(1.0, "Largest norm of the gradient.")
    warmup: Share = option(0.1, "Share of the steps in which the rate rises.")
    trunk_ratio: Ratio = option(
        0.1, "Rate of the stem over the rate of the head (layer decay from end to end).", needs=TUNING
    )
    ema: bool = option(True, "Average the weights over training; the average is what is evaluated.")
    balance: Balance | None = option(
        None,
        "Uneven classes: weigh rare ones more in the loss, draw them more often (sampler), or none of it.",
        flag="",
        auto=True,
        told=True,
        needs=ONE_LABEL,
        neutral="none",
    )
    label_smoothing: Rate = option(0.05, "Label smoothing of the loss.")
    mixup: NotNegative | None = option(None, "Mixup alpha.", needs=TUNING + ONE_LABEL, neutral=0.0)
    cutmix: NotNegative | None = option(
        None, "CutMix alpha; with class tokens it also mixes the probe's tokens.", needs=TUNING + ONE_LABEL, neutral=0.0
    )
    monitor: Monitor | None = option(None, "The validation figure that picks the best epoch.")
    patience: Count | None = option(
        None, "Epochs without a better validation figure after which tuning stops.", needs=TUNING
    )
    precision: AutocastPrecision | None = option(None, "Arithmetic of the forward pass while tuning.", needs=TUNING)
    grad_checkpointing: bool = option(False, "Save memory by computing activations twice.", needs=TUNING, neutral=False)
    compile: bool = option(
        False, "Compile the trunk once, so that each step of tuning is faster.", needs=TUNING, neutral=False
    )
    teacher: str | None = option(
        None,
        "A trained network, such as `timm:NAME`, whose answers to the same cuts are learned as well.",
        needs=TUNING + ONE_LABEL,
        chosen="never",
    )
    teacher_weight: Positive = option(1.0, "Weight of the teacher's loss beside that of the labels.", needs=TEACHER)
    teacher_size: Side | None = option(
        None, "Side of the teacher's input in pixels; otherwise its own.", needs=TEACHER, chosen="never"
    )
    time: str | None = option(
        None,
        "Time limit for tuning, such as 20m or 2h; the schedule ends within it.",
        flag="20m",
        needs=TUNING,
        chosen="never",
        check=parse_duration,
    )
    device: str | None = option(
        None, "cuda, cuda:1, mps or cpu; chosen when not given.", flag="DEVICE", chosen="anew", told=True
    )
    workers: Workers | None = option(
        None,
        "Processes that load photos, chosen when not given; 0 loads them in the main process.",
        flag="N",
        chosen="anew",
    )
    photo_cache: Gigabytes = option(
        20.0,
        "Gigabytes of decoded photos that tuning may keep for all epochs and runs, in the cache folder; 0: none.",
        needs=TUNING,
        neutral=0.0,
        before=0.0,
    )
    token_cache: Gigabytes = option(
        10.0,
        "Gigabytes of what the frozen network makes of photos that are kept for later runs, in the cache folder; 0:"
        " none.",
        before=0.0,
    )
    checkpoint_minutes: Positive = option(5.0, "Time from one checkpoint to the next; the end of the fit has one, too.")
    log: Logger | None = option(
        None,
        "Tell the figures of history.csv to tensorboard, mlflow, wandb or trackio as well; into the run, unless its"
        " own settings say where.",
        flag="LOGGER",
        chosen="never",
    )
    keep_checkpoints: bool = option(False, "Keep the checkpoints of a finished run.", flag="")


@dataclass(frozen=True, kw_only=True)
class AugmentSection:
    """How training photos are varied."""

    level: Level | None = option(
        None,
        "light: crop, flip; medium: and colour, erasing; strong: and random operations.",
        needs=TUNING,
        neutral="none",
    )
    flip: bool = option(True, "Mirror left and right, in the probe too; switch off when sides or digits matter.")


@dataclass(frozen=True, kw_only=True)
class EvaluateSection:
    """What is measured."""

    top_k: Count = option(5, "Also measure top-k accuracy, where there are more classes than k.", needs=ONE_LABEL)
    batch_size: Count = option(32, "Photos per forward pass in evaluation and prediction.")
    precision: Precision | None = option(
        None,
        "Arithmetic of the trunk when photos are scored; otherwise bfloat16 where the device has it and validation"
        " photos get the same answers and maps.",
        flag="",
        chosen="never",
    )
    engine: Engine | None = option(
        None,
        "What computes the tokens of photos; otherwise openvino where the extra `cpu` is installed and there are enough"
        " photos for it to pay, or else torch.",
        flag="",
        chosen="never",
    )
    mirror: bool = option(
        False,
        "Answer a photo by what the trunk makes of it and of its mirror image together, wherever the model is used: a"
        " little better, at twice the time.",
        neutral=False,
    )
    boxes: str | None = option(
        None,
        "A CSV with file, label, xmin, ymin, xmax, ymax, width, height, or COCO's JSON, to test the maps against.",
        flag="FILE",
        chosen="never",
    )
    masks: str | None = option(
        None,
        "A folder of masks to test the maps against: NAME.png of the photo NAME.jpg, where what is not 0 is object.",
        flag="DIR",
        chosen="never",
    )
    folds: Folds | None = option(
        None,
        "Also cross-validate the probe with so many folds, 2 to 20: every photo is answered once.",
        flag="K",
        needs=ONE_LABEL,
        chosen="never",
    )
    learning_curve: bool = option(
        False,
        "Also measure what an eighth, a quarter and half of the training photos teach.",
        flag="",
        neutral=False,
    )
    target_accuracy: Ratio | None = option(
        None,
        "Wished share of right answers; less sure photos become `unknown`.",
        flag="0.98",
        needs=ONE_LABEL,
        chosen="never",
    )


@dataclass(frozen=True, kw_only=True)
class ExplainSection:
    """What is drawn."""

    look: Look = option("spotlight", "How overlays are drawn.")
    checks: Checks = option(
        100,
        "Test photos on which the maps are checked with further passes; 0: no such checks.",
        needs=ONE_LABEL,
    )
    overlays: CountOrZero = option(500, "Most overlay pictures written into the run, uncertain first.")


@dataclass(frozen=True, kw_only=True)
class ReportSection:
    """What the report shows."""

    title: str | None = option(None, "Heading of the report; otherwise the run's name.", chosen="never")
    thumbnail: ThumbnailSide = option(384, "Longer side of the report's pictures in pixels.")
    picture_cache: Gigabytes = option(
        2.0, "Gigabytes of the report's pictures that are kept for other reports, in the cache folder; 0: none."
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that is wanted of a run."""

    seed: Seed = option(0, "Seed of every random choice.", flag="N")
    data: DataSection = DataSection()
    split: SplitSection = SplitSection()
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    augment: AugmentSection = AugmentSection()
    evaluate: EvaluateSection = EvaluateSection()
    explain: ExplainSection = ExplainSection()
    report: ReportSection = ReportSection()

    def value(self, key: str) -> Any:  # noqa: ANN401 - fields have many types
        """What stands at a dotted key."""
        return reduce(getattr, key.split("."), self)

    def replace(self, values: Mapping[str, Any]) -> "Recipe":
        """The recipe with checked values at their dotted keys."""
        recipe = self
        for key, value in values.items():
            section, _, name = key.rpartition(".")
            changed = {section: replace(getattr(recipe, section), **{name: value})} if section else {name: value}
            recipe = replace(recipe, **changed)
        return recipe


def _gather_options(kind: type, prefix: str = "") -> Iterator[Option]:
    """The options of the recipe, or of one of its sections, in their order."""
    types = get_type_hints(kind, include_extras=True)
    for one in fields(kind):
        if is_dataclass(types[one.name]):
            yield from _gather_options(types[one.name], f"{one.name}.")
        else:
            yield Option(key=prefix + one.name, type=types[one.name], default=one.default, **one.metadata)


OPTIONS = {option.key: option for option in _gather_options(Recipe)}
SECTIONS = tuple(dict.fromkeys(key.partition(".")[0] for key in OPTIONS if "." in key))
FLAGS = {option.argument: option for option in OPTIONS.values() if option.flag is not None}


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How photos are answered, and what is drawn and copied: of a command, not of a recipe."""

    model: str | Path | None = option(
        None, "A run, a model folder, a weight file or a card; otherwise the latest run.", flag="NAME"
    )
    top: Count = option(5, "How many labels to name.", flag="K")
    min_confidence: Ratio | None = option(
        None, "Answers less sure than this are `unknown`; otherwise the model's own threshold decides.", flag="0.9"
    )
    overlay: Path | str | None = option(None, "Draw where the network looked into this folder.", flag="DIR")
    overlay_map: OverlayMap | None = option(
        None,
        "What overlays show: the look, as when not given, or the evidence, orange for the predicted class and"
        " purple against it; needs --overlay.",
        flag="",
        word="map",
    )
    look: Look = option("spotlight", "How the look is drawn; needs --overlay.", flag="")
    sort_into: Path | str | None = option(
        None, "Copy each photo into a sub-folder of DIR named by its label.", flag="DIR"
    )
    refuse_unlike: bool = option(False, "Answer `unknown` where a photo is unlike anything learned.", flag="")
    batch_size: Count = option(32, "Photos per forward pass.", flag="N")
    workers: Workers = option(0, "Processes that load photos; 0 loads them in this one.", flag="N")
    precision: Precision | None = option(
        None, "Arithmetic of the trunk; otherwise what the model was measured in, if this device has it.", flag=""
    )
    engine: Engine | None = option(None, OPTIONS["evaluate.engine"].sentence, flag="")
    crop_boxes: Path | str | None = option(
        None,
        "Answer each box of a CSV with file, xmin, ymin, xmax, ymax, or of COCO's or MegaDetector's JSON, in the place"
        " of its photo.",
        flag="FILE",
    )
    crop_confidence: Ratio | None = option(None, OPTIONS["data.crop_confidence"].sentence, flag="0.2")
    crop_category: str | None = option(None, OPTIONS["data.crop_category"].sentence, flag="NAME")
    load_truncated: bool = option(False, OPTIONS["data.load_truncated"].sentence, flag="")
    device: str | None = option(None, OPTIONS["train.device"].sentence, flag="DEVICE")
    offline: bool = option(False, "Never use the network; weights come from the cache.", flag="", envvar="PCN_OFFLINE")
    mirror: str | None = option(
        None, "Get published weights from this address instead.", flag="URL", envvar="PCN_MIRROR"
    )


PREDICT = {option.argument: option for option in _gather_options(PredictOptions)}
WEIGHTS = {name: PREDICT[name] for name in ("offline", "mirror")}


def show_options(function: Callable[P, T], parameters: Iterable[Parameter]) -> Callable[P, T]:
    """`function`, whose `**options` have these names and types for whoever asks for its signature, such as Typer."""
    shown = sorted(parameters, key=lambda one: one.kind)
    vars(function)["__signature__"] = signature(function).replace(parameters=shown)
    return function

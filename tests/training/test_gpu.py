"""What needs an NVIDIA card: the same numbers as on the CPU, and what only cards do. `tests/gpu.sh` runs it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from standin import ColourBatches, make_config, validate
from torch import nn

from pcn_cli.errors import StoppedError
from pcn_cli.files.atomic import read_csv
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.stages.inference.load import for_inference
from pcn_cli.tensors.network import Batch
from pcn_cli.training.checkpoint import Progress
from pcn_cli.training.compiled import compile_trunk
from pcn_cli.training.device import choose_device, has_native_bf16, memory_mb
from pcn_cli.training.fit import FitCallback, FitResult, fit
from pcn_cli.training.fit_config import FitConfig
from pcn_cli.training.learner import Learner
from pcn_cli.training.stop import StopRequest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA card here"),
    pytest.mark.filterwarnings("default"),  # what a card's libraries say is no error of ours
]
CARD, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """float32 without TF32, so that a card can be compared with the CPU."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def make(depth: int = 4) -> PatchConvNet:
    torch.manual_seed(0)
    return PatchConvNet(embed_dim=64, depth=depth, num_classes=3)


def pinned(batch: Batch) -> Batch:
    return batch._replace(images=batch.images.pin_memory(), targets=batch.targets.pin_memory())


class Pinned(ColourBatches):
    def batches(self, epoch: int = 0, *, start: int = 0) -> Iterator[Batch]:
        for batch in super().batches(epoch, start=start):
            yield pinned(batch)


def start(config: FitConfig, model: nn.Module, device: torch.device = CARD) -> tuple[Learner, Progress]:
    learner = Learner(model, config, device=device)
    progress = Progress(plan=config, versions={}, total_steps=100, micro_batch=config.micro_batch)
    learner.set_schedule(progress)
    return learner, progress


def fit_on_card(model: nn.Module, config: FitConfig, **options: object) -> FitResult:
    batches, clean = Pinned(size=64), ColourBatches(size=64)
    clean.images = clean.images.to(CARD)
    clean.targets = clean.targets.to(CARD)
    options.setdefault("stop", StopRequest())
    learner = Learner(model, config, device=CARD)
    return fit(learner, batches, lambda learned: validate(learned, clean), **options)  # type: ignore[arg-type]


def test_the_card_gives_the_logits_of_the_cpu() -> None:
    model, images = make().eval(), torch.randn(4, 3, 224, 224)
    with torch.inference_mode():
        expected = for_inference(model, CPU).attend(images)
        torch.backends.cudnn.allow_tf32 = False
        found = for_inference(model, CARD)
        torch.set_float32_matmul_precision("highest")  # which answering lowers to TF32
        found = found.attend(images.to(CARD))
    torch.testing.assert_close(found.logits.cpu(), expected.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.weights.cpu(), expected.weights, rtol=1e-3, atol=1e-5)


def test_bfloat16_on_the_card_hardly_moves_the_logits() -> None:
    model, images = make().eval(), torch.randn(16, 3, 224, 224, device=CARD)
    with torch.inference_mode():
        exact = for_inference(model, CARD).attend(images).logits
        fast = for_inference(model, CARD, precision="bfloat16").attend(images).logits.float()
    assert float((fast - exact).norm() / exact.norm()) < 0.05


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_step_gives_the_loss_of_the_cpu(precision: str) -> None:
    if precision == "bfloat16" and not has_native_bf16(CARD):
        pytest.skip("no bfloat16 on this card")
    batch = next(ColourBatches(size=64).batches(0))
    here, there = start(make_config(precision=precision), make()), start(make_config(), make(), CPU)
    assert here[0].take_step(pinned(batch), progress=here[1], on_note=pytest.fail) is None  # looked at later
    (step,) = here[0].settle()
    expected = there[0].take_step(batch, progress=there[1], on_note=pytest.fail)
    assert expected is not None
    assert step.loss == pytest.approx(expected.loss, rel=1e-4 if precision == "float32" else 3e-2)
    assert not step.bad
    assert {tensor.dtype for tensor in here[0].model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    "changes",
    [{}, {"precision": "float16"}, {"class_weights": (1.0, 2.0, 0.5)}, {"mixup": 0.4, "cutmix": 0.3}],
    ids=str,
)
def test_no_step_waits_for_the_card(changes: dict[str, object]) -> None:
    learner, progress = start(make_config(**changes), make())
    batches = [pinned(batch) for batch in ColourBatches(size=64).batches(0)]
    for batch in batches:  # the first steps make buffers
        learner.take_step(batch, progress=progress, on_note=pytest.fail)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            learner.take_step(batch, progress=progress, on_note=pytest.fail)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(learner.settle()) == 2 * len(batches)


def test_a_bad_step_spares_the_weights_and_is_named_later() -> None:
    learner, progress = start(make_config(ema=False), make())
    batch = next(ColourBatches(size=64).batches(0))
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    broken = batch._replace(images=batch.images.clone())
    broken.images[2] = torch.nan
    learner.take_step(pinned(broken), progress=progress, on_note=pytest.fail)
    (step,) = learner.settle()
    assert step.bad
    assert int(batch.indices[2]) in step.bad_photos
    assert all(torch.equal(learner.model.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_fit_learns_and_resumes(tmp_path: Path, precision: str) -> None:
    config = make_config(precision=precision, epochs=6, lr=1e-2, trunk_ratio=0.3)
    whole = fit_on_card(make(), config, checkpoints=tmp_path / "whole")
    assert whole.best.log_loss < whole.progress.history[0].val_loss or whole.progress.best_epoch == 1
    assert {tensor.device.type for tensor in whole.best_state.values()} == {"cpu"}
    stop = StopRequest()

    class StopThere(FitCallback):
        def on_step(self, step: int, *_: float) -> None:
            if step >= 7:
                stop.request()

    with pytest.raises(StoppedError):
        fit_on_card(make(), config, checkpoints=tmp_path / "cut", stop=stop, callback=StopThere())
    resumed = fit_on_card(make(), config, checkpoints=tmp_path / "cut")
    tolerance = 1e-3 if precision == "float32" else 5e-2
    losses = [[row.train_loss for row in result.progress.history] for result in (whole, resumed)]
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)


def test_where_the_memory_of_the_card_is_small_the_same_step_is_made_in_parts() -> None:
    generator, size, count = torch.Generator().manual_seed(0), 160, 64
    images = torch.randn(count, 3, size, size, generator=generator).contiguous(memory_format=torch.channels_last)
    batch = pinned(Batch(images, torch.arange(count) % 3, torch.arange(count)))

    def step(micro_batch: int, notes: list[str]) -> tuple[float, int]:
        learner, progress = start(make_config(batch_size=count, micro_batch=micro_batch), make(depth=8))
        learner.take_step(batch, progress=progress, on_note=notes.append)
        (made,) = learner.settle()
        return made.loss, progress.micro_batch

    def peak(micro_batch: int) -> tuple[float, float]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        loss, _ = step(micro_batch, [])
        return loss, torch.cuda.max_memory_reserved()

    expected, small = peak(16)
    _, large = peak(count)
    assert large > 1.5 * small
    torch.cuda.empty_cache()
    notes: list[str] = []
    try:
        share = (small + large) / 2 / torch.cuda.get_device_properties(CARD).total_memory
        torch.cuda.set_per_process_memory_fraction(share)
        loss, micro_batch = step(count, notes)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert micro_batch < count
    assert notes[0].startswith("out of memory: going on with 32 photos at once, 64 per step")
    assert loss == pytest.approx(expected, rel=1e-3)


def test_a_trunk_compiled_for_fixed_shapes_computes_the_same() -> None:
    plain, compiled = make().to(CARD), make().to(CARD)
    compile_trunk(compiled, CARD)
    for count in (8, 8, 5):
        images = torch.randn(count, 3, 64, 64, device=CARD)
        torch.testing.assert_close(compiled(images), plain(images), rtol=1e-3, atol=1e-4)


def test_the_card_is_chosen_and_its_memory_told() -> None:
    assert choose_device().type == "cuda"
    torch.zeros(10**6, device=CARD)
    assert memory_mb(CARD) >= 4


def run_pcn(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pcn_cli", *map(str, words)], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr


def tune(photos: Path, output: Path, *more: str) -> RunDir:
    words = ("--tune", "all", "--epochs", "2", "--batch-size", "8", "--size", "64", "--set", "train.precision=float32")
    run_pcn("finetune", photos, "--model", "nano", "--output", output, *words, "--set", "explain.checks=0", *more)
    return RunDir(output)


def losses(run: RunDir) -> list[float]:
    return [float(row["train_loss"]) for row in read_csv(run.history) if row["phase"] == "tune"]


def test_a_run_on_the_card_tunes_as_on_the_cpu(photo_folder: Path, tmp_path: Path) -> None:
    card, cpu = tune(photo_folder, tmp_path / "card"), tune(photo_folder, tmp_path / "cpu", "--device", "cpu")
    assert read_record(card).device.startswith("cuda")
    assert losses(card) == pytest.approx(losses(cpu), rel=2e-2)
    answers = [[row["predicted"] for row in read_csv(run.predictions)] for run in (card, cpu)]
    assert answers[0] == answers[1]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one card")
def test_two_cards_tune_as_one(photo_folder: Path, tmp_path: Path) -> None:
    two, one = tune(photo_folder, tmp_path / "two", "--devices", "2"), tune(photo_folder, tmp_path / "one")
    assert read_record(two).devices == 2
    assert losses(two) == pytest.approx(losses(one), rel=1e-2)
    assert sorted(path.name for path in two.root.iterdir()) == sorted(path.name for path in one.root.iterdir())

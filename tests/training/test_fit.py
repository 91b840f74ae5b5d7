"""The loop: it learns, resumes with the same bits, and goes on when numbers, memory or people get in the way."""

import itertools
import json
import random
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from standin import ColourBatches, Standin, make_config, run_fit, validate
from torch import nn

from pcn_cli.errors import DivergedError, ResourceError, RunError, StoppedError
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.training.checkpoint import Progress, TrainState, load_checkpoint, save_checkpoint
from pcn_cli.training.copies import copy_state
from pcn_cli.training.fit import FitResult, _name_photos
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.learner import Learner
from pcn_cli.training.steps import Step
from pcn_cli.training.stop import StopRequest

WILD = {"drop": 0.3, "norm": nn.BatchNorm2d}  # every source of state and randomness
MIXED = {"mixup": 0.4, "cutmix": 0.3, "micro_batch": 3, "average_epochs": 2}


def run(model: nn.Module, config: FitConfig, batches: ColourBatches | None = None, **options: object) -> FitResult:
    batches = batches or ColourBatches()
    options.setdefault("on_note", fail_unless_averaged)
    return run_fit(model, batches, config=config, **options)


def fail_unless_averaged(note: str) -> None:
    if "are averaged" not in note:
        pytest.fail(note)


def timeless(result: FitResult) -> list[dict[str, object]]:
    rows = [asdict(row) for row in result.progress.history]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second", "memory_mb")} for row in rows]


def assert_same_end(folder: Path, result: FitResult, other: Path, expected: FitResult) -> None:
    ours, theirs = load_checkpoint(folder), load_checkpoint(other)
    assert ours is not None
    assert theirs is not None
    for kind in ("model", "ema", "optimizer", "best", "runners_up"):
        mine, wanted = getattr(ours, kind), getattr(theirs, kind)
        assert mine.keys() == wanted.keys()
        assert all(torch.equal(mine[name], wanted[name]) for name in wanted), kind
    assert ours.random == theirs.random
    assert timeless(result) == timeless(expected)
    assert result.best_state.keys() == expected.best_state.keys()
    assert all(torch.equal(result.best_state[name], expected.best_state[name]) for name in expected.best_state)


class StopAt(StopRequest):
    """Asks for a stop after some polls, as a signal at that step would."""

    def __init__(self, polls: int) -> None:
        super().__init__()
        self.polls = polls

    @property
    def requested(self) -> bool:
        self.polls -= 1
        if self.polls == 0:
            self.request()
        return self.signal_number != 0


def test_a_fit_learns_and_gives_back_the_best_epoch() -> None:
    rows, model = [], Standin()
    result = run(model, make_config(epochs=12, lr=3e-2, trunk_ratio=0.3), on_epoch=rows.append)
    assert result.progress.history == tuple(rows)
    assert [row.epoch for row in rows] == list(range(1, 13))
    assert [row.step for row in rows] == list(range(3, 37, 3))
    losses = [row.val_loss for row in rows]
    assert result.best.log_loss == min(losses) < losses[0]
    assert result.progress.best_epoch == losses.index(min(losses)) + 1
    model.load_state_dict(result.best_state)
    assert validate(model.eval(), ColourBatches()).log_loss == pytest.approx(result.best.log_loss)


def test_steps_report_rate_and_loss() -> None:
    seen: list[tuple[float, ...]] = []
    run(Standin(), make_config(), on_step=lambda *numbers: seen.append(numbers))
    assert [step for step, *_ in seen] == list(range(1, 10))
    assert {total for _, total, *_ in seen} == {9}
    rates = [lr for _, _, _, lr, _ in seen]
    assert max(rates) == pytest.approx(5e-3 * (8 / 64) ** 0.5)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert all(loss > 0 and speed > 0 for _, _, loss, _, speed in seen)


@pytest.mark.parametrize("stopped_after", range(1, 10))
def test_resuming_at_any_step_gives_the_same_bits(tmp_path: Path, stopped_after: int) -> None:
    config = make_config(**MIXED)
    expected = run(Standin(**WILD), config, checkpoints=tmp_path / "whole")
    folder, stop = tmp_path / "cut", StopRequest()

    def stop_there(step: int, *_: float) -> None:
        if step == stopped_after:
            stop.request()

    rows = []
    with pytest.raises(StoppedError) as caught:
        run(Standin(**WILD), config, checkpoints=folder, on_step=stop_there, stop=stop, on_epoch=rows.append)
    assert caught.value.exit_code == 130
    assert caught.value.message == f"stopped after step {stopped_after} of 9; the state is saved"
    torch.manual_seed(99)  # what else happens in the process makes no difference
    result = run(Standin(**WILD, seed=5), config, checkpoints=folder, on_epoch=rows.append)
    assert_same_end(folder, result, tmp_path / "whole", expected)
    assert [row.epoch for row in rows] == [1, 2, 3]


def test_a_network_in_channels_last_without_average_resumes_with_the_same_bits(tmp_path: Path) -> None:
    config = make_config(ema=False, precision="bfloat16", tune="pooling", grad_checkpointing=True, epochs=2)
    expected = run(Standin(drop=0.2), config, checkpoints=tmp_path / "whole")
    with pytest.raises(StoppedError):
        run(Standin(drop=0.2), config, checkpoints=tmp_path / "cut", stop=StopAt(3))
    result = run(Standin(drop=0.2), config, checkpoints=tmp_path / "cut")
    assert_same_end(tmp_path / "cut", result, tmp_path / "whole", expected)


@pytest.mark.parametrize("class_tokens", [False, True])
@pytest.mark.parametrize("tune", ["pooling", "all"])
def test_a_patchconvnet_of_depth_2_resumes_with_the_same_bits(tmp_path: Path, tune: str, class_tokens: bool) -> None:
    def make() -> PatchConvNet:
        torch.manual_seed(0)
        return PatchConvNet(
            embed_dim=16, depth=2, num_classes=3, class_tokens=class_tokens, drop_rate=0.2, drop_path_rate=0.2
        )

    batches = ColourBatches(size=48)
    config = make_config(tune=tune, epochs=2, mixup=0.2, micro_batch=3, grad_checkpointing=True)
    expected = run(make(), config, batches, checkpoints=tmp_path / "whole")
    with pytest.raises(StoppedError):
        run(make(), config, batches, checkpoints=tmp_path / "cut", stop=StopAt(2))
    result = run(make(), config, batches, checkpoints=tmp_path / "cut")
    assert_same_end(tmp_path / "cut", result, tmp_path / "whole", expected)
    start = make().state_dict()
    changed = {name for name, tensor in result.best_state.items() if not torch.equal(tensor, start[name])}
    assert any(name.startswith("stem.") for name in changed) == (tune == "all")
    assert any(name.startswith("blocks.") for name in changed)


def test_a_stop_in_validation_is_saved_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    config, batches, model = make_config(), ColourBatches(), Standin(**WILD)
    expected = run(Standin(**WILD), config, checkpoints=tmp_path / "whole")

    def interrupted(_: nn.Module) -> Validation:
        raise StoppedError("stopped", signal_number=15)

    with pytest.raises(StoppedError, match="after step 3 of 9") as caught:
        run_fit(model, batches, interrupted, config=config, checkpoints=tmp_path / "cut")
    assert caught.value.exit_code == 143
    result = run(Standin(**WILD), config, checkpoints=tmp_path / "cut")
    assert_same_end(tmp_path / "cut", result, tmp_path / "whole", expected)


def test_a_finished_fit_resumes_without_a_step(tmp_path: Path) -> None:
    expected = run(Standin(), make_config(), checkpoints=tmp_path)
    batches = ColourBatches()
    result = run(Standin(), make_config(), batches, checkpoints=tmp_path)
    assert batches.served == 0
    assert timeless(result) == timeless(expected)


def test_resume_without_a_checkpoint_starts(tmp_path: Path) -> None:
    assert len(run(Standin(), make_config(), checkpoints=tmp_path).progress.history) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("ash", "beech", "oak")}, "class cedar is gone; class oak is new"),
        ({"classes": ("beech", "ash", "cedar")}, "the classes stand in another order"),
        ({"fingerprint": "0" * 64}, "data fingerprint ffffffffffff → 000000000000"),
        ({"lr": 0.1}, "lr 0.005 → 0.1"),
    ],
)
def test_resuming_under_other_terms_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    run(Standin(), make_config(epochs=1), checkpoints=tmp_path)
    with pytest.raises(RunError, match=words) as caught:
        run(Standin(), make_config(**{"epochs": 1, **changes}), checkpoints=tmp_path)
    assert caught.value.exit_code == 8


def test_resuming_another_network_is_refused(tmp_path: Path) -> None:
    run(Standin(), make_config(epochs=1), checkpoints=tmp_path)
    with pytest.raises(RunError, match="another network"):
        run(Standin(depth=3), make_config(epochs=1), checkpoints=tmp_path)


def test_training_stops_early_when_nothing_gets_better() -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    model, batches = Standin(), ColourBatches()
    config = make_config(epochs=9, patience=2)

    def losing(_: nn.Module) -> Validation:
        return Validation(log_loss=next(losses), accuracy=0.0, macro_f1=0.0)

    result = run_fit(model, batches, losing, config=config)
    assert (result.progress.stopped_early, result.progress.best_epoch, len(result.progress.history)) == (True, 2, 4)


def test_macro_f1_selects_where_the_plan_says_so() -> None:
    scores = iter([(1.0, 0.5), (0.5, 0.4), (0.9, 0.5)])
    config = make_config(monitor="macro_f1")

    def scored(_: nn.Module) -> Validation:
        loss, f1 = next(scores)
        return Validation(log_loss=loss, accuracy=0.0, macro_f1=f1)

    assert run_fit(Standin(), ColourBatches(), scored, config=config).progress.best_epoch == 3


class Scripted:
    """Says what the script says of each network it is shown, and keeps what it was shown."""

    def __init__(self, *losses: float) -> None:
        self.losses, self.seen = losses, []

    def __call__(self, model: nn.Module) -> Validation:
        self.seen.append(copy_state(model))
        return Validation(log_loss=self.losses[len(self.seen) - 1], accuracy=0.0, macro_f1=0.0)


@pytest.mark.parametrize("ema", [True, False])
def test_the_best_epochs_are_averaged_as_long_as_that_is_better(tmp_path: Path, ema: bool) -> None:
    # The epochs; then the third with the first, these with the fourth, and with the fifth.
    scored, notes = Scripted(0.50, 0.90, 0.40, 0.60, 0.70, 0.30, 0.35, 0.25), []
    config = make_config(epochs=5, average_epochs=4, ema=ema)
    result = run(Standin(**WILD), config, check=scored, checkpoints=tmp_path, on_note=notes.append)
    epochs = scored.seen[:5]
    for tried, wanted in zip(scored.seen[5:], ([2, 0], [2, 0, 3], [2, 0, 4]), strict=True):
        for name, tensor in tried.items():
            kept = [epochs[place][name] for place in wanted]
            mean = torch.stack(kept).mean(dim=0) if tensor.is_floating_point() else kept[0]
            assert torch.equal(tensor, mean), name
    assert any(name.endswith("num_batches_tracked") for name in scored.seen[-1])
    assert all(torch.equal(result.best_state[name], tensor) for name, tensor in scored.seen[-1].items())
    assert result.best == Validation(log_loss=0.25, accuracy=0.0, macro_f1=0.0)
    assert result.progress.best_epoch == 3
    (note,) = notes
    assert note == (
        "the weights of epochs 3, 1, 5 are averaged: log-loss 0.2500 on the validation photos, in the place of 0.4000"
        " by the best alone"
    )
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert {key.partition(".")[0] for key in state.runners_up} == {"1", "4", "5"}


def test_where_no_average_is_better_the_best_epoch_is_kept() -> None:
    config, scored = make_config(average_epochs=9), Scripted(0.5, 0.4, 0.6, 0.45, 0.4)
    result = run(Standin(), config, check=scored, on_note=pytest.fail)
    assert all(torch.equal(result.best_state[name], tensor) for name, tensor in scored.seen[1].items())
    assert result.best.log_loss == 0.4


def test_a_stop_while_epochs_are_averaged_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config, losses = make_config(average_epochs=3), (0.5, 0.4, 0.6, 0.3, 0.2)
    expected = run(Standin(), config, check=Scripted(*losses))

    class Interrupted(Scripted):
        def __call__(self, model: nn.Module) -> Validation:
            if len(self.seen) == 4:
                raise StoppedError("stopped while measuring", signal_number=15)
            return super().__call__(model)

    with pytest.raises(StoppedError, match="stopped after step 9 of 9; the state is saved") as caught:
        run(Standin(), config, check=Interrupted(*losses), checkpoints=tmp_path)
    assert caught.value.exit_code == 143
    result = run(Standin(seed=5), config, check=Scripted(*losses[3:]), checkpoints=tmp_path)
    assert result.best == expected.best
    assert all(torch.equal(result.best_state[name], tensor) for name, tensor in expected.best_state.items())


class Poisoned(ColourBatches):
    """Some photos hold no numbers."""

    def __init__(self, photos: tuple[int, ...]) -> None:
        super().__init__()
        self.images[list(photos)] = torch.nan


def test_a_bad_step_is_skipped_and_names_its_photo() -> None:
    notes, made = [], []
    batches, clean = Poisoned((4,)), ColourBatches()
    run_fit(
        Standin(),
        batches,
        lambda model: validate(model, clean),
        config=make_config(epochs=2),
        on_note=notes.append,
        on_step=lambda step, *_: made.append(step),
    )
    photos = [batch.indices.tolist() for epoch in range(2) for batch in clean.batches(epoch)]
    bad = [step for step, chosen in enumerate(photos, start=1) if 4 in chosen]
    assert len(bad) == 2
    assert notes == [f"step {step} is skipped: its numbers are not finite, photos 4" for step in bad]
    assert made == [step for step in range(1, 7) if step not in bad]


def test_bad_steps_name_files() -> None:
    """Numbers of photos say nothing to a person."""
    files, notes = [f"cat/{number}.jpg" for number in range(22)], []

    def train(poisoned: tuple[int, ...], epochs: int) -> None:
        run_fit(
            Standin(),
            Poisoned(poisoned),
            lambda model: validate(model, ColourBatches()),
            config=make_config(epochs=epochs),
            files=files,
            on_note=notes.append,
        )

    train((4,), 1)
    assert [note.partition("photos ")[2] for note in notes] == ["cat/4.jpg"]
    with pytest.raises(DivergedError, match=r"the last photos were cat/\d+.jpg, cat/\d+.jpg") as caught:
        train(tuple(range(22)), 3)
    assert "look at these photos" in caught.value.hint


def test_of_many_photos_the_first_are_named() -> None:
    assert _name_photos(range(9, 17), ()) == "9, 10, 11, 12, 13, 14, 15, 16"
    assert _name_photos([3, 1], "abcd") == "d, b"
    assert _name_photos(range(20), [f"{n}.jpg" for n in range(20)]).endswith("6.jpg, 7.jpg and 12 more")


@pytest.mark.parametrize("on_disk", [True, False])
def test_three_bad_steps_go_back_once_with_half_the_rate(tmp_path: Path, on_disk: bool) -> None:
    notes: list[str] = []
    folder = tmp_path if on_disk else None
    batches = Poisoned(tuple(range(22)))
    with pytest.raises(DivergedError, match="3 steps in a row were not finite, up to step 3, with half") as caught:
        run(Standin(), make_config(), batches, checkpoints=folder, on_note=notes.append)
    assert caught.value.exit_code == 7
    assert notes.count("going back to step 0 with half the learning rate") == 1
    assert len(notes) == 7
    if on_disk:
        state = load_checkpoint(tmp_path)
        assert state is not None
        assert state.progress.lr_factor == 0.5
        assert all(bool(torch.isfinite(t).all()) for t in state.model.values())


class BadOnce(ColourBatches):
    """The second epoch is full of nonsense the first time it is read."""

    def batches(self, epoch: int = 0, *, start: int = 0):
        poisoned = epoch == 1 and self.served < 6
        for batch in super().batches(epoch, start=start):
            yield batch._replace(images=batch.images * torch.inf) if poisoned else batch


def test_after_going_back_training_ends_at_half_the_rate(tmp_path: Path) -> None:
    rates, notes = [], []
    batches = BadOnce()
    result = run(
        Standin(),
        make_config(warmup=0.0, checkpoint_minutes=1e-9),
        batches,
        checkpoints=tmp_path,
        on_note=notes.append,
        on_step=lambda step, total, loss, lr, speed: rates.append((step, lr)),
    )
    assert notes[-1] == "going back to step 3 with half the learning rate"
    assert [step for step, _ in rates] == list(range(1, 10))
    expected = [0.5 * (1 + np.cos(np.pi * n / 10)) * (1 if n <= 3 else 0.5) for n in range(1, 10)]
    assert [lr for _, lr in rates] == pytest.approx([5e-3 * (8 / 64) ** 0.5 * share for share in expected])
    assert [row.epoch for row in result.progress.history] == [1, 2, 3]


def test_when_memory_runs_out_the_same_step_is_made_in_halves(tmp_path: Path) -> None:
    notes: list[str] = []
    small = Standin(drop=0.0)
    small.largest_batch = 3
    batches = ColourBatches()

    def even(_: nn.Module) -> Validation:
        return Validation(log_loss=1.0, accuracy=0.0, macro_f1=0.0)

    def train(model: nn.Module, config: FitConfig, note: object) -> FitResult:
        return run_fit(model, batches, even, config=config, on_note=note)

    result = train(small, make_config(), notes.append)
    assert notes == [f"out of memory: going on with {n} photos at once, 8 per step" for n in (4, 2)]
    assert result.progress.micro_batch == 2
    whole = Standin(drop=0.0)
    train(whole, make_config(), pytest.fail)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_photo_that_does_not_fit_alone_is_an_error() -> None:
    model = Standin()
    model.largest_batch = 0
    with pytest.raises(ResourceError, match="one photo alone does not fit") as caught:
        run(model, make_config(), on_note=lambda _: None)
    assert "--tune pooling" in caught.value.hint
    assert "--tune probe" in caught.value.hint


def test_a_time_limit_ends_the_schedule_at_an_epoch_within_it() -> None:
    ticks, notes, rates = itertools.count(), [], []
    config = make_config(epochs=500, time_limit=400.0)
    result = run(
        Standin(),
        config,
        clock=lambda: float(next(ticks)),
        on_note=notes.append,
        on_step=lambda step, total, loss, lr, speed: rates.append(lr),
    )
    assert notes[0].startswith("time limit: training ends after")
    assert 0 < result.progress.seconds <= 400
    assert result.progress.step < 1500
    assert rates[-1] < 0.01 * max(rates)


def test_checkpoints_come_between_epochs_when_the_last_is_old(tmp_path: Path) -> None:
    ticks = itertools.count(step=30)
    seen: set[str] = set()
    run(
        Standin(),
        make_config(checkpoint_minutes=1.0),
        checkpoints=tmp_path,
        clock=lambda: float(next(ticks)),
        on_step=lambda *_: seen.update(p.name for p in tmp_path.glob("step-*")),
    )
    assert {"step-00000001", "step-00000002"} <= seen


def test_the_world_s_randomness_is_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the generator in question
    random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002

    class Quiet(ColourBatches):
        def batches(self, epoch: int = 0, *, start: int = 0):
            with torch.random.fork_rng():
                yield from super().batches(epoch, start=start)

    batches = Quiet()

    def even(_: nn.Module) -> Validation:
        return Validation(log_loss=1.0, accuracy=0.0, macro_f1=0.0)

    run_fit(Standin(**WILD), batches, even, config=make_config(**MIXED))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks")
def test_killed_at_random_times_and_resumed_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    script = Path(__file__).with_name("killed_fit.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(seed), "6"], capture_output=True, text=True, check=False
    )
    print(f"seed {seed}", done.stdout, done.stderr)  # noqa: T201 - to repeat a failure
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert len(answer["ends"]) == 6
    assert set(answer["ends"]) == {answer["uninterrupted"]}
    assert answer["kills"] > 0


def test_checkpoints_are_written_by_time_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a large network takes longer than an epoch of few photos."""
    saved: list[int] = []

    def save(folder: Path, state: TrainState) -> Path:
        saved.append(state.progress.step)
        return save_checkpoint(folder, state)

    monkeypatch.setattr("pcn_cli.training.checkpoint.save_checkpoint", save)
    run(Standin(), make_config(), checkpoints=tmp_path / "rare")
    assert saved == [0, 9]
    saved.clear()
    run(Standin(), make_config(checkpoint_minutes=1e-9), checkpoints=tmp_path / "often")
    assert saved == [*range(10)][:1] + [step for step in range(1, 10) for _ in range(1 + (step % 3 == 0))]


class Asynchronous:
    """Fits whose numbers are looked at later, as on a card; on the CPU, which gives the same bits each time."""

    @pytest.fixture(autouse=True)
    def as_on_a_card(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pcn_cli.training.learner.is_asynchronous", lambda device: True)
        monkeypatch.setattr("pcn_cli.training.fit.CHECKED_AT_ONCE", 2)


class TestAsynchronous(Asynchronous):
    def test_it_ends_with_the_same_bits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[int] = []
        config = make_config(**MIXED)
        result = run(Standin(drop=0.3), config, checkpoints=tmp_path / "a", on_step=lambda step, *_: told.append(step))
        assert told == list(range(1, 10))
        monkeypatch.setattr("pcn_cli.training.learner.is_asynchronous", lambda device: False)
        expected = run(Standin(drop=0.3), config, checkpoints=tmp_path / "b")
        assert_same_end(tmp_path / "a", result, tmp_path / "b", expected)

    @pytest.mark.parametrize("stopped_after", [1, 2, 5, 9])
    def test_it_resumes_with_the_same_bits(self, tmp_path: Path, stopped_after: int) -> None:
        config, stop = make_config(**MIXED), StopRequest()
        expected = run(Standin(drop=0.3), config, checkpoints=tmp_path / "whole")

        def stop_there(step: int, *_: float) -> None:
            if step >= stopped_after:
                stop.request()

        with pytest.raises(StoppedError):
            run(Standin(drop=0.3), config, checkpoints=tmp_path / "cut", on_step=stop_there, stop=stop)
        result = run(Standin(drop=0.3, seed=5), config, checkpoints=tmp_path / "cut")
        assert_same_end(tmp_path / "cut", result, tmp_path / "whole", expected)

    def test_a_bad_step_changes_no_weight_and_names_its_photo(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ends, told, clean = [], [], ColourBatches()

        def check(learned: nn.Module) -> Validation:
            return validate(learned, clean)

        for asynchronous in (True, False):
            monkeypatch.setattr("pcn_cli.training.learner.is_asynchronous", lambda device, answer=asynchronous: answer)
            notes: list[str] = []
            model, config = Standin(), make_config(epochs=2, ema=False)
            result = run_fit(model, Poisoned((4,)), check, config=config, on_note=notes.append)
            ends.append(model.state_dict())
            told.append((notes, [row.train_loss for row in result.progress.history]))
        assert told[0] == told[1]
        assert len(told[0][0]) == 2
        assert all(torch.equal(ends[0][name], tensor) for name, tensor in ends[1].items())

    def test_what_the_card_had_still_to_do_is_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now, settle = [0.0], Learner.settle

        def wait(learner: Learner) -> list[Step]:
            steps = settle(learner)
            now[0] += 5 * len(steps)
            return steps

        monkeypatch.setattr(Learner, "settle", wait)
        result = run(Standin(), make_config(epochs=2), clock=lambda: now[0])
        assert [row.seconds for row in result.progress.history] == [15, 15]
        assert result.progress.history[1].images_per_second == pytest.approx(22 / 15)

    def test_bad_steps_in_a_row_end_it(self) -> None:
        notes: list[str] = []
        with pytest.raises(DivergedError, match="3 steps in a row were not finite, up to step 3") as caught:
            run(Standin(), make_config(), Poisoned(tuple(range(22))), on_note=notes.append)
        assert caught.value.exit_code == 7
        assert "going back to step 0 with half the learning rate" in notes


def test_float16_scales_the_loss_and_resumes_with_the_same_bits(tmp_path: Path) -> None:
    config = make_config(precision="float16", epochs=4)
    expected = run(Standin(), config, checkpoints=tmp_path / "whole")
    state = load_checkpoint(tmp_path / "whole")
    assert state is not None
    assert state.progress.loss_scale > 0
    assert expected.progress.history[-1].val_loss < expected.progress.history[0].val_loss
    exact = run(Standin(), make_config(epochs=4))
    assert expected.best.log_loss == pytest.approx(exact.best.log_loss, rel=0.05)
    with pytest.raises(StoppedError):
        run(Standin(), config, checkpoints=tmp_path / "cut", stop=StopAt(5))
    result = run(Standin(seed=5), config, checkpoints=tmp_path / "cut")
    assert_same_end(tmp_path / "cut", result, tmp_path / "whole", expected)
    again = load_checkpoint(tmp_path / "cut")
    assert again is not None
    assert again.progress.loss_scale_steps == state.progress.loss_scale_steps > 0


def test_a_gradient_too_large_for_float16_makes_the_scale_smaller_and_is_no_bad_step() -> None:
    learner = Learner(Standin(), make_config(precision="float16"), device=torch.device("cpu"))
    progress = Progress(plan=learner.config, versions={}, total_steps=9, micro_batch=8)
    learner.set_schedule(progress)
    learner._scaler.load_state_dict(learner._scaler.state_dict() | {"scale": 2.0**100})
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    step = learner.take_step(next(ColourBatches().batches(0)), progress=progress, on_note=pytest.fail)
    assert step is not None
    assert not step.bad
    assert learner._scaler.get_scale() == 2.0**99
    assert all(torch.equal(learner.model.state_dict()[name], tensor) for name, tensor in before.items())

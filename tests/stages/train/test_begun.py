"""What a run need not try again, because the one that it begins with did: the probe on nearly the same photos."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Candidate
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import start_run, update_record
from pcn_cli.runs.store import CANDIDATES, write_recipe, write_split
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.train import begun
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.frozen import PROBE, REGRESSION

RECIPE = Recipe()


def photo(number, *, label=None, split="train"):
    label = label or "ab"[number % 2]
    return SplitRow(file=f"{number}.jpg", label=label, split=split, sha256=f"{number:064x}")


KNOWN = [*map(photo, range(8)), photo(90, split="val"), photo(91, split="test")]


@pytest.fixture
def settle(tmp_path, monkeypatch):
    """Whether a run on `rows` tries the probe that begins with one on KNOWN, which `kept` one of its `candidates`."""

    def settle(rows, *, kept=REGRESSION, candidates=(REGRESSION, PROBE), damaged=False, **settings):
        run, notes = RunDir(tmp_path / "first"), []
        if not run.record.exists():
            with start_run(run, kind="train", photos=tmp_path / "photos", card="nano", device="cpu"):
                pass
        update_record(run, kept=kept)
        CANDIDATES.write(run, tuple(Candidate(name=name, val_log_loss=1.0) for name in candidates))
        if damaged:
            run.candidates.write_text("{")
        write_split(run, KNOWN)
        write_recipe(run, RECIPE, {})
        monkeypatch.setattr(begun, "find_start", lambda _: run)
        callback = Callback()
        callback.on_note = notes.append
        classes = SimpleNamespace(classes=tuple(sorted({row.label for row in rows})))
        facts = {"rows": tuple(rows), "recipe": RECIPE.replace(settings), "model_config": classes}
        others = dict.fromkeys(("run", "root", "device", "fetch", "stop"))
        context = begun.settle_probe(TrainContext(callback=callback, **facts, **others))
        assert bool(notes) == (not context.tries_probe)
        return context.tries_probe

    return settle


def test_the_probe_is_not_tried_again_where_at_most_a_quarter_as_many_photos_are_new(settle):
    assert not settle(KNOWN)
    assert not settle([*KNOWN, *map(photo, range(8, 10))])
    assert settle([*KNOWN, *map(photo, range(8, 11))])
    assert not settle(KNOWN[2:])
    assert not settle([*KNOWN, *(photo(number, split="test") for number in range(8, 20))])


@pytest.mark.parametrize(
    "otherwise",
    [
        {"kept": PROBE},
        {"kept": "tuned"},
        {"damaged": True},
        {"candidates": (REGRESSION,)},
        {"data.size": 64},
        {"train.monitor": "macro_f1"},
        {"augment.flip": False},
        {"evaluate.mirror": True},
        {"train.probe_epochs": 0},
        {"seed": 1},
    ],
    ids=str,
)
def test_it_is_tried_where_the_other_run_kept_it_or_did_not_compare_the_same(settle, otherwise):
    assert settle(KNOWN, **otherwise)


def test_corrected_labels_count_as_new_and_other_classes_settle_nothing(settle):
    def corrected(count):
        return [replace(row, label="ba"[number % 2]) if number < count else row for number, row in enumerate(KNOWN)]

    assert not settle(corrected(2))
    assert settle(corrected(3))
    assert settle([*KNOWN, photo(20, label="c")])
    assert settle([row for row in KNOWN if row.label == "a"])

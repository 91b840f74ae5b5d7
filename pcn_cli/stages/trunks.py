"""Trunks: which of several models to start from, by logistic regression on the frozen features of each.

Training and validation photos alone decide: no photo of the test part is opened before the model is chosen.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from torch import nn

from pcn_cli.metrics.choice import is_better_beyond_chance
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.load import LoadedRecipe, load_recipe
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.metrics import Trunk, Trunks
from pcn_cli.records.photos import Scan, SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import recording_stage, update_record
from pcn_cli.runs.store import TRUNKS, write_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.photos import split_photos
from pcn_cli.stages.plan import settle_recipe
from pcn_cli.stages.train.context import NoteCallback, TrainContext, start_model
from pcn_cli.stages.train.frozen import Fitted, fit_frozen
from pcn_cli.stages.train.precision import choose_precision
from pcn_cli.stages.train.tokens import TokenSource, probe_rows
from pcn_cli.stages.train.train import PartTokens
from pcn_cli.training.device import Cost
from pcn_cli.training.stop import StopRequest


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A trunk with its regression, its tokens of the training and validation photos, and what removes these."""

    trunk: Trunk
    fitted: Fitted
    tokens: PartTokens
    scratch: ExitStack


def choose_trunk(
    run: RunDir, rows: tuple[SplitRow, ...], scan: Scan, *, fetch: Fetcher, callback: Callback, stop: StopRequest
) -> tuple[Recipe, PartTokens]:
    """The recipe with the model to start from, which is the run's from now on, and the tokens of its trunk.

    The caller holds the run, and closes the tokens. A run that was stopped before the choice measures every model anew;
    after it the choice stands, and there are no tokens.
    """
    asked, compared = load_recipe(str(run.recipe)), TRUNKS.read(run)
    _, divided, split_reasons = split_photos(scan, asked)
    asked = replace(asked, recipe=divided)
    tokens: PartTokens = {}

    def start(trunk: Trunk) -> tuple[nn.Module, TrainContext]:
        recipe, _, _ = _settle(asked, trunk, rows)
        model, context = start_model(run, recipe, rows, fetch=fetch, callback=callback, stop=stop)
        context = choose_precision(model, context)
        return model, replace(context, rows=tuple(row for row in rows if row.split != "test"))

    with recording_stage(run, "choose", (run.trunks,)):
        if compared.kept is None:
            compared, tokens = _compare(compared.models, start)
            TRUNKS.write(run, compared)
        kept = next(trunk for trunk in compared.models if trunk.kept)
        recipe, reasons, _ = _settle(asked, kept, rows, tuned=True)
        # Last: until then the recipe is the one that was asked for.
        write_recipe(run, recipe, split_reasons | reasons)
        update_record(run, card=kept.name)
    callback.on_choice("model.name", kept.name, f"the best of {len(compared.models)} on the validation photos")
    for key, reason in reasons.items():
        if recipe.value(key) is not None:
            callback.on_choice(key, recipe.value(key), reason)
    return recipe, tokens


def _settle(
    asked: LoadedRecipe, trunk: Trunk, rows: tuple[SplitRow, ...], *, tuned: bool = False
) -> tuple[Recipe, dict[str, str], Cost | None]:
    """The recipe as it is for a trunk, with reasons."""
    loaded = replace(asked, recipe=asked.recipe.replace({"model.name": trunk.model}))
    return settle_recipe(loaded, rows, find_source(model_source(trunk.model)), tuned=tuned)


def _compare(
    trunks: Sequence[Trunk], start: Callable[[Trunk], tuple[nn.Module, TrainContext]]
) -> tuple[Trunks, PartTokens]:
    """The trunks with their figures, one of them kept, and its tokens; of all others none are left.

    They are measured from the smallest to the largest, and a larger one has to be better beyond chance.
    """
    measured: list[Trunk] = []
    kept: _Measured | None = None
    with ExitStack() as scratch:
        for trunk in trunks:
            model, context = start(trunk)
            one = _measure(trunk, model, context)
            scratch.enter_context(one.scratch)
            better = kept is None or is_better_beyond_chance(
                one.tokens["val"].targets,
                one.fitted.probabilities,
                kept.fitted.probabilities,
                monitor=context.monitor,
            )
            context.tell_result(trunk.words, one.fitted.probabilities, kept=better)
            worse, kept = (kept, one) if better or kept is None else (one, kept)
            if worse is not None:
                worse.scratch.close()
            measured.append(one.trunk)
        scratch.pop_all()  # what is left are the tokens of the kept one
    assert kept is not None  # noqa: S101 - there are several
    return Trunks(models=tuple(replace(one, kept=one == kept.trunk) for one in measured)), kept.tokens


def _measure(trunk: Trunk, model: nn.Module, context: TrainContext) -> _Measured:
    source = TokenSource(model, probe_rows(context), context)
    with ExitStack() as scratch:
        tokens: PartTokens = {part: scratch.enter_context(source.cache(part)) for part in ("train", "val")}
        fitted = next(fit_frozen(model, tokens["train"], tokens["val"], context, NoteCallback(context)))
        return _Measured(
            trunk=replace(trunk, val_log_loss=fitted.loss, **context.measure("val", fitted.probabilities)),
            fitted=fitted,
            tokens=tokens,
            scratch=scratch.pop_all(),
        )

"""What several processes do together: rank 0 announces a job and does its share of it, the others follow.

A job carries all that it needs, weights too: beside rank 0 only the photos have to be at hand, under the same path, and
a teacher under the same name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from torch import nn

from pcn_cli.models.sources.base import rebuild
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import Recipe
from pcn_cli.records.arithmetic import Engine, Precision
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import ModelConfig
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.inference.load import for_inference
from pcn_cli.stages.train.context import Probabilities, TrainContext, score_batches
from pcn_cli.stages.train.tune import find_teacher, finish_here, tune_here
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import choose_device
from pcn_cli.training.fit import FitResult
from pcn_cli.training.ranks import Ranks
from pcn_cli.training.stop import StopRequest
from pcn_cli.training.tokens import TokenPiece, compute_tokens

Kind = Literal["tokens", "score", "tune", "finish"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work on `rows`: their tokens by the `engine` in the form for so many `photos`, with `flip` and `exact`; their
    scores; or tuning on their parts and its finish.
    """

    kind: Kind
    run: str
    root: str
    recipe: Recipe
    model: ModelConfig
    rows: tuple[SplitRow, ...]
    precision: Precision
    flip: bool = False
    exact: bool = False
    engine: Engine = "torch"
    photos: int = 0


def share_tokens(
    model: nn.Module,
    rows: Sequence[SplitRow],
    context: TrainContext,
    *,
    form: Network,
    flip: bool,
    exact: bool,
    engine: Engine,
    photos: int,
) -> Iterator[TokenPiece]:
    """The tokens of `rows`, computed by all processes; for rank 0, piece by piece as they arrive.

    `form` is what its trunk computes in here; the others make their own, by the `engine` and for as many `photos`.
    """
    ranks, size = context.ranks, context.recipe.evaluate.batch_size
    _announce("tokens", model, rows, context, flip=flip, exact=exact, engine=engine, photos=photos)
    blocks = [ranks.block(-(-len(rows) // size), rank=rank) for rank in range(ranks.world)]
    own = _compute_own(form, rows, context, flip=flip, exact=exact)
    for turn, piece in enumerate(own):  # nobody has more batches than rank 0
        yield piece
        for rank in range(1, ranks.world):
            if turn < len(blocks[rank]):
                yield TokenPiece(*ranks.receive(rank))


def score_rows_together(model: nn.Module, rows: Sequence[SplitRow], context: TrainContext) -> Probabilities:
    """(N, K) float64, in the order of `rows`, computed by all processes."""
    _announce("score", model, rows, context)
    whole = _score_own(model, rows, context)
    assert whole is not None  # noqa: S101 - rank 0 announces
    return whole


def tune_together(model: nn.Module, context: TrainContext) -> FitResult:
    """What tuning by all processes gives, for rank 0."""
    teacher = find_teacher(context)  # before the others look for it, who may not download it
    _announce("tune", model, context.rows, context)
    return tune_here(model, context, teacher)


def finish_together(model: nn.Module, context: TrainContext) -> FitResult:
    """What the final epochs of all processes give, for rank 0."""
    _announce("finish", model, context.rows, context)
    return finish_here(model, context)


def help_lead(ranks: Ranks) -> str:
    """Do what rank 0 announces until it ends; the path of its last run, empty where there was none."""
    run = ""
    while (announced := ranks.next_job()) is not None:
        job = from_plain(Job, announced)
        run = job.run
        model = rebuild(job.model, job.recipe)
        model.load_state_dict(ranks.tensors_from_lead())
        context = TrainContext(
            run=RunDir(Path(job.run)),
            recipe=job.recipe,
            rows=job.rows,
            root=Path(job.root),
            model_config=job.model,
            device=choose_device(job.recipe.train.device),
            fetch=Fetcher(offline=True),
            callback=Callback(),
            stop=StopRequest(),  # rank 0 is asked to stop, and ends; who waits for it ends as well
            ranks=ranks,
            precision=job.precision,
        )
        _do(job, model, context)
    return run


def _do(job: Job, model: nn.Module, context: TrainContext) -> None:
    if job.kind == "tokens":
        form = for_inference(model, context.device, precision=job.precision, photos=job.photos, engine=job.engine)
        for piece in _compute_own(form, job.rows, context, flip=job.flip, exact=job.exact):
            context.ranks.send(piece)
    elif job.kind == "score":
        _score_own(model, job.rows, context)
    elif job.kind == "finish":
        finish_here(model, context)
    else:
        tune_here(model, context, find_teacher(context))


def _announce(
    kind: Kind,
    model: nn.Module,
    rows: Sequence[SplitRow],
    context: TrainContext,
    *,
    flip: bool = False,
    exact: bool = False,
    engine: Engine = "torch",
    photos: int = 0,
) -> None:
    ranks = context.ranks
    if ranks.world == 1:
        return
    job = Job(
        kind=kind,
        run=str(context.run.root.resolve()),
        root=str(context.root),
        recipe=context.recipe,
        model=context.model_config,
        rows=tuple(rows),
        precision=context.precision,
        flip=flip,
        exact=exact,
        engine=engine,
        photos=photos,
    )
    ranks.announce(to_plain(job))
    ranks.tensors_from_lead(model.state_dict())


def _compute_own(
    form: Network, rows: Sequence[SplitRow], context: TrainContext, *, flip: bool, exact: bool
) -> Iterator[TokenPiece]:
    own, first = context.own_rows(rows)
    return compute_tokens(
        cast("nn.Module", form),
        context.batches(own),
        device=context.device,
        stop=context.stop,
        flip=flip,
        exact=exact,
        start=first,
    )


def _score_own(model: nn.Module, rows: Sequence[SplitRow], context: TrainContext) -> Probabilities | None:
    own, _ = context.own_rows(rows)
    return context.ranks.concatenate(score_batches(model, context.batches(own), context, photos=len(rows)))

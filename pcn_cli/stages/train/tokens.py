"""The frozen trunk's tokens of the photos, and what they say of them: doubtful labels, one scene in two parts."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcn_cli.data.similar.neighbours import draw_projection, find_neighbours
from pcn_cli.metrics.suspects import name_suspects
from pcn_cli.records.arithmetic import Engine
from pcn_cli.records.decisions import Decision
from pcn_cli.records.photos import Part, SplitRow, Tie
from pcn_cli.records.predictions import Suspect
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import DECISIONS, NEIGHBOURS, SUSPECTS
from pcn_cli.stages.inference.load import FEWEST_PHOTOS, for_inference
from pcn_cli.stages.train.context import TrainContext
from pcn_cli.stages.train.jobs import share_tokens
from pcn_cli.stages.train.known import MOST_LEARNED, Known, is_mirrored, open_known
from pcn_cli.tensors.network import Network
from pcn_cli.training.folds import count_learned, divide_folds, most_folds
from pcn_cli.training.known_tokens import KnownPhoto
from pcn_cli.training.logistic import fit_head
from pcn_cli.training.tokens import TokenCache, TokenPiece, keep_tokens

CELLS = 4  # a side: with the place of things told apart even a weak network finds what is alike
FOLDS = 5  # of the regressions that doubt labels
FEWEST_LEARNED = 5  # photos of a class; a model that saw fewer doubts every one of them

Numbers = NDArray[np.int64]


def probe_rows(context: TrainContext) -> list[SplitRow]:
    """The photos that the probe works with: training photos, of many a sample, then validation, then test."""
    return [*learned_rows(context.rows, seed=context.recipe.seed), *context.part("val"), *context.part("test")]


def learned_rows(rows: Sequence[SplitRow], *, seed: int) -> list[SplitRow]:
    """The training photos, of many a sample, in the order of the split."""
    rows = [row for row in rows if row.split == "train"]
    if len(rows) <= MOST_LEARNED:
        return rows
    drawn = np.random.default_rng(seed).permutation(len(rows))[:MOST_LEARNED]
    return [rows[place] for place in sorted(drawn)]


class TokenSource:
    """The tokens that the trunk of `model` gives of `rows`, as it is now; the context says in which precision.

    What earlier runs computed is not computed again, and what is new is kept for later ones. A part is computed in
    the form of the trunk for so many photos, as who measures it once more does.
    """

    def __init__(self, model: nn.Module, rows: Sequence[SplitRow], context: TrainContext) -> None:
        self._model, self._rows, self._context = model, rows, context
        self._known = open_run_tokens(model, rows, context)
        self._forms: dict[tuple[Engine, bool], Network] = {}

    def tell_known(self) -> None:
        """Say how many of the photos' tokens are known, where some are."""
        count = sum(map(self._known.holds, self._rows))
        if count:
            new = len(self._rows) - count
            rest = f"; those of {new:,} new photos are computed" if new else ""
            self._context.callback.on_note(f"tokens of {count:,} photos are known from earlier runs{rest}")

    def cache(self, part: Part) -> TokenCache:
        """The tokens of the photos of a part; a context at whose end they are gone.

        Those of val and test are exact: what is measured from them is what predict says of these photos.
        """
        folder, own = self._context.run.checkpoints, [row for row in self._rows if row.split == part]
        folder.mkdir(parents=True, exist_ok=True)
        missing = np.array([place for place, row in enumerate(own) if not self._known.holds(row)], np.int64)
        tokens = keep_tokens(
            self._gather(own, missing, part),
            photos=len(own),
            folder=folder,
            on_photos=partial(self._context.callback.on_progress, f"computing tokens ({part})"),
        )
        # All at the end: a run that is stopped and goes on then divides its photos into the same batches again.
        for place in missing.tolist():
            self._known.write(own[place], KnownPhoto(tokens.take(place), tuple(tokens.sizes[place].tolist())))
        return tokens

    def _gather(self, rows: Sequence[SplitRow], missing: Numbers, part: Part) -> Iterator[TokenPiece]:
        """The tokens of `rows`; computed are those at the places `missing`, and no others where all is well."""
        context, known, damaged = self._context, self._known, list[int]()
        targets = context.targets(rows)
        for place in np.setdiff1d(np.arange(len(rows)), missing).tolist():
            context.stop.check("stopped while the tokens were read")
            photo = known.read(rows[place])
            if photo is None:
                damaged.append(place)
                continue
            yield TokenPiece(photo.tokens[None], targets[[place]], np.array([place]), np.array([photo.size]))
        places = np.array([*missing.tolist(), *damaged], np.int64)
        if not len(places):
            return
        engine, photos = known.engines[part], len(rows)
        context.callback.on_choice("engine", engine, known.reasons[part])
        computed = share_tokens(
            self._model,
            [rows[place] for place in places],
            context,
            form=self._form(engine, photos),
            flip=is_mirrored(part, context.recipe, photos=photos),
            exact=part != "train",
            engine=engine,
            photos=photos,
        )
        for piece in computed:
            yield piece._replace(indices=places[piece.indices])

    def _form(self, engine: Engine, photos: int) -> Network:
        """The trunk as the engine computes so many photos fastest; each is made once, which takes a while."""
        kind = (engine, photos >= FEWEST_PHOTOS)
        if kind not in self._forms:
            precision, device = self._context.precision, self._context.device
            self._forms[kind] = for_inference(self._model, device, precision=precision, photos=photos, engine=engine)
        return self._forms[kind]


def open_run_tokens(model: nn.Module, rows: Sequence[SplitRow], context: TrainContext) -> Known:
    """What is known of these photos of a run in the precision of the context, and what computes the others."""
    return open_known(
        model,
        rows,
        config=context.model_config,
        recipe=context.recipe,
        device=context.device,
        precision=context.precision,
    )


def sweep_tokens(run: RunDir) -> None:
    """Remove the tokens that a killed process left in the run; the caller holds it."""
    for abandoned in run.checkpoints.glob("pcn-tokens-*"):
        shutil.rmtree(abandoned, ignore_errors=True)


def check_photos(
    rows: Sequence[SplitRow],
    caches: Sequence[TokenCache],
    groups: Numbers,
    context: TrainContext,
    *,
    features: NDArray[np.float32],
    C: float,
) -> None:
    """Put what the tokens say of `rows` into the run: suspects.csv and neighbours.csv.

    `features` are the mean tokens (N, C), `C` that of a logistic regression that suits them.
    """
    project = draw_projection(len(rows), CELLS**2 * features.shape[1])
    cells = np.concatenate([tokens.cell_features(CELLS, project=project) for tokens in caches])
    NEIGHBOURS.write(context.run, tie_neighbours(rows, cells, groups))
    del cells
    suspects = doubt_labels(rows, features, groups, classes=context.classes, C=C, seed=context.recipe.seed)
    SUSPECTS.write(context.run, leave_decided(suspects, rows, DECISIONS.read(context.run)))


def leave_decided(
    suspects: Sequence[Suspect], rows: Sequence[SplitRow], decisions: Sequence[Decision]
) -> tuple[Suspect, ...]:
    """The suspects, which are among the `rows`, that nobody has decided about."""
    decided, hashes = {one.photo for one in decisions}, {row.file: row.sha256 for row in rows}
    still = (one for one in suspects if decided.isdisjoint((one.file, hashes[one.file])))
    return tuple(replace(one, rank=rank) for rank, one in enumerate(still, start=1))


def tie_neighbours(rows: Sequence[SplitRow], features: NDArray[np.float32], groups: Numbers) -> tuple[Tie, ...]:
    """The pairs of `rows` in two parts that look like one scene; `groups` (N,) are equal where that is known."""
    _, targets = np.unique([row.label for row in rows], return_inverse=True)
    pairs = ((rows[first], rows[second]) for first, second in find_neighbours(features, targets, groups))
    return tuple(Tie.between("alike", first, second) for first, second in pairs if first.split != second.split)


def doubt_labels(
    rows: Sequence[SplitRow],
    features: NDArray[np.float32],
    groups: Numbers,
    *,
    classes: Sequence[str],
    C: float,
    seed: int,
) -> tuple[Suspect, ...]:
    """The label suspects among `rows` by logistic regressions on `features` (N, C), each blind to a fifth of them.

    None where every class has too few photos to be divided into folds.
    """
    targets = np.array([classes.index(row.label) for row in rows])
    if most_folds(targets, groups) < FOLDS:
        return ()
    folds, probabilities = divide_folds(targets, groups, folds=FOLDS, seed=seed), np.empty((len(rows), len(classes)))
    for fold in folds:
        head = fit_head(features[fold.learn], targets[fold.learn], C=C, classes=len(classes))
        probabilities[fold.held_out] = head.probabilities(features[fold.held_out])
    judged = count_learned(folds, targets) >= FEWEST_LEARNED
    return name_suspects(rows, probabilities, classes, judged=judged)

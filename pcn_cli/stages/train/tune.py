"""Tuning: what learns beyond the frozen trunk, from the checkpoints on where there are any."""

from functools import partial

from safetensors.torch import load_file
from torch import Tensor, nn

from pcn_cli.data.split import fingerprint
from pcn_cli.models.sources import find_source
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.train.context import HistoryCallback, TrainContext, score_batches, validate
from pcn_cli.tensors.store import save_tensors
from pcn_cli.training.fit import FitCallback, FitResult, fit
from pcn_cli.training.fit_config import FitConfig, Validation
from pcn_cli.training.learner import Learner
from pcn_cli.training.teacher import compute_teacher_logits


def tune_here(model: nn.Module, context: TrainContext, teacher_logits: Tensor | None) -> FitResult:
    """The tuned weights, from this process's share of the photos; rank 0 keeps history and checkpoints."""
    ranks, train_rows, val_rows = context.ranks, context.part("train"), context.part("val")
    config = FitConfig.for_tuning(
        context.recipe, context.targets(train_rows), classes=context.classes, fingerprint=fingerprint(context.rows)
    )
    val_batches, val_targets = context.batches(context.own_rows(val_rows)[0], often=True), context.targets(val_rows)

    def validate_together(tuned: nn.Module) -> Validation:
        probabilities = ranks.concatenate(score_batches(tuned, val_batches, context, photos=len(val_rows)))
        figures = None if probabilities is None else vars(validate(val_targets, probabilities))
        return Validation(**ranks.from_lead(figures))

    history = HistoryCallback(context, "tune", config.epochs) if ranks.leads else None
    result = fit(
        Learner(model, config, device=context.device, teacher_logits=teacher_logits, ranks=ranks),
        context.train_batches(batch_size=config.batch_size),
        validate_together,
        files=[row.file for row in train_rows],
        checkpoints=context.run.checkpoints if ranks.leads else None,
        callback=history or FitCallback(),
        stop=context.stop,
    )
    if history is not None:
        history.complete(result.progress.history)
    return result


def teach(context: TrainContext) -> Tensor | None:
    """The teacher's logits of the training photos, if it has one; kept, so that a resumed run has them already."""
    done, train = context.run.taught, context.recipe.train
    if not train.teacher:
        return None
    if not done.is_file():
        source = find_source(model_source(train.teacher))
        teacher, preprocessing = source.read_teacher(fetch=context.fetch, size=train.teacher_size)
        logits = compute_teacher_logits(
            teacher,
            context.batches(context.part("train"), preprocessing),
            device=context.device,
            bfloat16=train.precision == "bfloat16",
            on_batch=partial(context.callback.on_progress, "asking the teacher"),
            stop=context.stop,
        )
        save_tensors(done, {"answers": logits})
    kept: Tensor = load_file(done)["answers"]
    return kept

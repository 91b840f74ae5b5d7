"""Tune: as many layers as the recipe says learn from varied photos, and from a teacher where one is named."""

from functools import partial

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcn_cli.data.load.augment import Augmentation
from pcn_cli.files.atomic import write_with
from pcn_cli.models.sources import find_source
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.train.context import Work
from pcn_cli.stages.train.fit_config import fit_config
from pcn_cli.stages.train.history import History
from pcn_cli.stages.train.validation import judge, score_batches
from pcn_cli.training.fit import fit
from pcn_cli.training.fit_config import FitResult
from pcn_cli.training.teacher import ask_teacher


def tune_model(model: nn.Module, work: Work) -> FitResult:
    """The tuned weights, from the checkpoints on where there are any."""
    train_rows = work.part("train")
    plan = fit_config(work, work.targets(train_rows))
    augmentation = Augmentation(
        level=work.recipe.augment.level or "light",
        flip=work.recipe.augment.flip,
        preprocessing=work.config.preprocessing,
        seed=work.recipe.seed,
    )
    taught = _ask_teacher(work) if plan.teacher else None
    val_rows = work.part("val")
    val_batches = work.batches(val_rows, batch_size=work.recipe.evaluate.batch_size)
    val_targets = work.targets(val_rows)
    history = History(work.run, work.callback, epochs=plan.epochs)
    result = fit(
        model,
        work.batches(train_rows, batch_size=plan.batch_size, augmentation=augmentation),
        lambda judged: judge(val_targets, score_batches(judged, val_batches, work)),
        plan=plan,
        device=work.device,
        taught=taught,
        checkpoints=work.run.checkpoints,
        resume=True,
        on_step=work.callback.on_step,
        on_epoch=history.add,
        on_note=work.callback.on_note,
        stop=work.stop,
    )
    history.complete(result.history)
    return result


def _ask_teacher(work: Work) -> Tensor:
    """The teacher's answers to the training photos; they are kept, so that a resumed run has them already."""
    done, train = work.run.taught, work.recipe.train
    if not done.is_file():
        teacher, preprocessing = find_source(model_source(train.teacher)).read_teacher(
            fetch=work.fetch, size=train.teacher_size
        )
        answers = ask_teacher(
            teacher,
            work.batches(work.part("train"), batch_size=work.recipe.evaluate.batch_size, preprocessing=preprocessing),
            device=work.device,
            bfloat16=train.precision == "bfloat16",
            on_batch=partial(work.callback.on_progress, "asking the teacher"),
            stop=work.stop,
        )
        work.run.checkpoints.mkdir(parents=True, exist_ok=True)
        write_with(done, lambda part: save_file({"answers": answers}, part))
    taught: Tensor = load_file(done)["answers"]
    return taught

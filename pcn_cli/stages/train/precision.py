"""May the trunk compute in bfloat16? Only where validation photos get the same answers and maps as in float32.

It is asked twice: of the tokens, before thousands of them are computed, and of the answers of the model that is kept.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pcn_cli.attention.faithfulness import rank_correlation
from pcn_cli.attention.maps import choose_weights, look_maps
from pcn_cli.records.arithmetic import Agreement, Precision
from pcn_cli.stages.earlier_runs import find_start
from pcn_cli.stages.inference.load import for_inference
from pcn_cli.stages.train.context import TrainContext, Trial
from pcn_cli.stages.train.known import count_seen
from pcn_cli.stages.train.tokens import learned_rows, open_run_tokens, probe_rows
from pcn_cli.tensors.network import Network
from pcn_cli.training.device import explain_memory, has_native_bf16

SAMPLE = 64  # validation photos that are compared; each of them costs two passes
FEWEST = 50  # of fewer one in a hundred cannot be seen, and their run is short
# Relative distance of the tokens from which on answers need not be asked. S60 has 0.004, mobilenetv2_100 0.08.
TOO_FAR = 0.03
TIE = 0.02  # classes whose logits in float32 are no further apart are equally good


def choose_precision(model: nn.Module, context: TrainContext) -> TrainContext:
    """The context with the precision in which tokens are computed and photos scored; bfloat16 has still to prove itself
    by the answers, with what stands in `trial`.
    """
    asked = context.recipe.evaluate.precision
    if asked is not None:
        return replace(context, precision=asked)
    if not has_native_bf16(context.device) or len(context.part("val")) < FEWEST:
        return context
    if find_start(context.recipe) is not None and _knows_most(model, context):
        return tell_precision(context, "float32", "so the tokens are known that the run computed which it begins with")
    trial = compute_trial(model, context)
    apart = float((trial.fast - trial.exact).norm() / trial.exact.norm())
    if not apart <= TOO_FAR:  # nor where they are not finite
        return tell_precision(context, "float32", f"in bfloat16 the tokens of validation photos differ by {apart:.1%}")
    return tell_precision(replace(context, trial=trial), "bfloat16", "native on this device, and the tokens agree")


def tell_precision(context: TrainContext, precision: Precision, reason: str) -> TrainContext:
    """The context with this precision, which the callback hears of; in float32 there is nothing left to prove."""
    context.callback.on_choice("evaluate.precision", precision, reason)
    return replace(context, precision=precision, trial=context.trial if precision == "bfloat16" else None)


@torch.inference_mode()
def compute_trial(model: nn.Module, context: TrainContext) -> Trial:
    """The tokens that `model` gives of validation photos, spread evenly over all of them, in both precisions."""
    rows = context.part("val")
    places = np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).round().astype(int).tolist()
    exact = for_inference(model, context.device)
    learned = learned_rows(context.rows, seed=context.recipe.seed)
    photos = count_seen(learned, context.recipe)  # of which the form depends that most tokens come from
    engine = context.recipe.evaluate.engine
    fast = for_inference(model, context.device, precision="bfloat16", photos=photos, engine=engine)
    pieces: dict[str, list[Tensor]] = {"exact": [], "fast": []}
    with explain_memory("the precision was tried"):
        for batch in context.batches([rows[place] for place in places]).batches():
            context.stop.check("stopped while the precision was tried")
            images = batch.inputs(context.device)
            pieces["exact"].append(exact.forward_features(images).cpu())
            pieces["fast"].append(fast.forward_features(images).cpu())
    return Trial(torch.cat(pieces["exact"]), torch.cat(pieces["fast"]))


@torch.inference_mode()
def compare_answers(model: nn.Module, trial: Trial, context: TrainContext) -> Agreement:
    """How `model` answers the two kinds of tokens; the trunk is no more asked."""
    network = cast("Network", model.to(context.device).eval())
    exact, fast = (network.attend_tokens(tokens.to(context.device), values=False) for tokens in trial)
    logits, others = exact.logits.float().cpu(), fast.logits.float().cpu()
    best = logits.argmax(dim=1)
    if context.model_config.multi_label:
        same = (((logits > 0) == (others > 0)) | (logits.abs() <= TIE)).all(dim=1)
    else:
        chosen = logits.gather(1, others.argmax(dim=1, keepdim=True))[:, 0]
        same = logits.amax(dim=1) - chosen <= TIE
    looks, other_looks = (
        look_maps(choose_weights(one.weights.float().cpu().numpy(), best.tolist()), one.grid) for one in (exact, fast)
    )
    return Agreement(photos=len(same), same=int(same.sum()), correlation=_mean_correlation(looks, other_looks))


def tell_difference(agreement: Agreement) -> str:
    """Why bfloat16 may not answer, in words."""
    maps = "" if agreement.correlation is None else f", and the maps correlate by {agreement.correlation:.3f}"
    return f"in bfloat16 {agreement.same} of {agreement.photos} validation photos got the same answer{maps}"


def _knows_most(model: nn.Module, context: TrainContext) -> bool:
    """Whether the tokens of most validation photos are known in the precision of the context."""
    known, rows = open_run_tokens(model, probe_rows(context), context), context.part("val")
    return 2 * sum(map(known.holds, rows)) > len(rows)


def _mean_correlation(
    looks: Sequence[np.ndarray] | np.ndarray, others: Sequence[np.ndarray] | np.ndarray
) -> float | None:
    pairs = (rank_correlation(one, other) for one, other in zip(looks, others, strict=True))
    found = [one for one in pairs if one is not None]
    return float(np.mean(found)) if found else None

"""What can be told of a source before anything is fetched or written: facts, a sketch, and whether it is to be had."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from pcn_cli.models.class_tokens import pooling_of
from pcn_cli.models.folder import WEIGHTS, make_model, read_config
from pcn_cli.models.opener import is_offline
from pcn_cli.models.sources import card_preprocessing, count_parameters, find_source, tell_file, timm_name
from pcn_cli.models.store import weights_cache, weights_path
from pcn_cli.models.timm_source import PREFIX, check_backbone, parse_timm_source, pooled_args, timm_preprocessing
from pcn_cli.models.weights import check_cached
from pcn_cli.models.zoo import Card
from pcn_cli.records.model import Fit, Pooling, Preprocessing


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What is known of a source before anything is fetched: enough to plan a training."""

    name: str
    input_size: int
    crop_pct: float
    fit: Fit = "crop"
    pooling: Pooling = "single"
    parameters: int
    download_bytes: int = 0


def describe_source(source: str) -> SourceFacts:
    """The facts of `source`; nothing is downloaded.

    Raises:
        ModelError: there is no such network.
    """
    if source.startswith(PREFIX):
        timm_source = parse_timm_source(source)
        preprocessing = timm_preprocessing(timm_source)
        model = make_model("attention_pooled", 0, pooled_args(timm_source))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        download = 0 if timm_source.file else 4 * parameters  # without the pooling it is a little less
        return _facts(timm_source.name, preprocessing, parameters, download_bytes=download)
    found = find_source(source)
    if isinstance(found, Card):
        stored = weights_path(weights_cache(), found.full_name).is_file()
        download = 0 if stored or not found.url else found.minimum_bytes
        pooling: Pooling = "per-class" if found.class_tokens else "single"
        return _facts(found.name, card_preprocessing(found), found.parameters, pooling, download_bytes=download)
    if found.is_dir():
        config = read_config(found)
        name = config.card.removeprefix(PREFIX) or found.resolve().name
        return _facts(name, config.preprocessing, count_parameters(found / WEIGHTS), pooling_of(config))
    pooling = "per-class" if tell_file(found).class_tokens else "single"
    return _facts(found.stem, Preprocessing(height=224, width=224), count_parameters(found), pooling)


def check_available(source: str, *, offline: bool) -> None:
    """Nothing, if the weights of `source` are here or may be fetched; nothing is downloaded or hashed.

    Raises:
        ModelError: there is no such network, or nowhere weights of it that are read.
        DownloadError: they would have to be fetched, and `offline` or PCN_OFFLINE forbids it.
    """
    if source.startswith(PREFIX):
        check_backbone(parse_timm_source(source), offline=offline)
        return
    found = find_source(source)
    if isinstance(found, Card) and found.url and (offline or is_offline()):
        check_cached(found, weights_cache())


def sketch_model(source: str, num_classes: int, *, pooling: Pooling | None = None) -> nn.Module:
    """The network of `source` without its weights, to measure its cost with; nothing is downloaded or written.

    `pooling` is the source's own where it is None.

    Raises:
        ModelError: there is no such network.
    """
    architecture, arguments = _network(source)
    tokens = {} if pooling is None else {"class_tokens": pooling == "per-class"}
    return make_model(architecture, num_classes, arguments | tokens)


def _network(source: str) -> tuple[str, dict[str, Any]]:
    """The architecture of `source` in timm, and its settings."""
    if source.startswith(PREFIX):
        return "attention_pooled", pooled_args(parse_timm_source(source))
    found = find_source(source)
    if isinstance(found, Card):
        return found.architecture, {}
    if found.is_dir():
        config = read_config(found)
        return config.architecture, config.model_args
    return timm_name(tell_file(found))


def _facts(
    name: str, preprocessing: Preprocessing, parameters: int, pooling: Pooling = "single", *, download_bytes: int = 0
) -> SourceFacts:
    return SourceFacts(
        name=name,
        input_size=max(preprocessing.height, preprocessing.width),
        crop_pct=preprocessing.crop_pct,
        fit=preprocessing.fit,
        pooling=pooling,
        parameters=parameters,
        download_bytes=download_bytes,
    )

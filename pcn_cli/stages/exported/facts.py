"""What an exported file says of itself, and the program beside it, put together from two files of this room."""

import inspect
import json
from pathlib import Path
from typing import Any

from pcn_cli import __version__
from pcn_cli.errors import ModelError
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import ModelConfig
from pcn_cli.stages.answers import withheld_label
from pcn_cli.stages.exported import run_model
from pcn_cli.stages.exported.loaders import LOADERS

_IMPORT = "from pcn_cli.stages.exported.loaders import load_onnx as load\n"
_MODEL = '"model.onnx"'


def make_facts(config: ModelConfig, card: str, *, remembers: bool) -> dict[str, str]:
    """The metadata of an exported file: `config` as JSON, the model card in Markdown, the version of pcn.

    Beside what a model folder's config.json says of itself it holds the word for an answer that is withheld, the least
    probability of each class, that in a set of each level, and whether the model `remembers` what it learned from.
    """
    sets = [(one.level, one.least_probability) for one in config.conformal if one.least_probability is not None]
    more = {
        "withheld_label": withheld_label(config.classes),
        "sets": sets,
        "least": config.cuts,
        "remembers": remembers,
    }
    return {"pcn": __version__, "config": json.dumps(to_plain(config) | more, allow_nan=False), "model_card": card}


def read_facts(facts: dict[str, Any], path: Path) -> ModelConfig:
    """What the file at `path` says of itself; a ModelError where that is nothing that pcn wrote."""
    try:
        return from_plain(ModelConfig, facts)
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is not a file that pcn export wrote: {error}", "pcn export RUN") from error


def runner_name(model: str) -> str:
    """What the program is called that answers photos with the file called `model`; one for each format."""
    return {".onnx": "run_model.py", ".xml": "run_model_openvino.py", ".pt2": "run_model_torch.py"}[Path(model).suffix]


def runner_source(model: str) -> str:
    """The program that answers photos with the file called `model`, which lies beside it."""
    loader = LOADERS[Path(model).suffix]
    # What its types and its words mean stands in another file.
    text = inspect.getsource(loader).replace(f'    """{loader.__doc__}"""\n', "", 1)
    text = text.replace(f"def {loader.__name__}(path: Path) -> Loaded:", "def load(path: Path):", 1)
    head, body = inspect.getsource(run_model).split(_IMPORT)
    return f"{head.rstrip()}\n\n\n{text}{body.replace(_MODEL, json.dumps(model), 1)}"

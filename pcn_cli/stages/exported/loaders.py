"""What opens an exported file, by its runtime; `write_runner` puts the one that is needed into the program beside it.

Each gives a function, which computes the outputs of `models/export.py` of pictures (N, H, W, C) uint8, and
the model's facts. Each stands for itself: it is copied.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Compute = Callable[[np.ndarray], list[np.ndarray]]
Loaded = tuple[Compute, dict[str, Any]]


def load_onnx(path: Path) -> Loaded:
    """What computes the outputs of pictures (N, H, W, C) uint8, and the model's facts."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    facts = session.get_modelmeta().custom_metadata_map
    return lambda pictures: session.run(None, {"pictures": pictures}), json.loads(facts["config"])


def load_openvino(path: Path) -> Loaded:
    """What computes the outputs, in single precision everywhere, and the model's facts.

    What is compiled for this processor is kept beside the file, as `.pcn.blob`, where that may be written: without it
    every start takes twice as long. It begins with the SHA-256 of what it was compiled from and of what follows. One
    that is damaged, of another model, version or kind of processor, which OpenVINO refuses, is compiled anew.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type] # the converter, half of the import
    import hashlib
    from contextlib import suppress

    import openvino

    core, kept, options = openvino.Core(), path.with_suffix(".pcn.blob"), {"INFERENCE_PRECISION_HINT": "f32"}
    model, compiled = core.read_model(path), None
    made_from = hashlib.sha256(path.read_bytes())
    made_from.update(path.with_suffix(".bin").read_bytes())
    with suppress(OSError, RuntimeError):
        content, known = np.fromfile(kept, np.uint8), made_from.copy()
        known.update(content[32:].data)
        if content[:32].tobytes() == known.digest():
            compiled = core.import_model(openvino.Tensor(content[32:]), "CPU", options)
    if compiled is None:
        compiled = core.compile_model(model, "CPU", options)
        blob = compiled.export_model().getvalue()
        made_from.update(blob)
        with suppress(OSError):
            kept.write_bytes(made_from.digest() + blob)
    facts = model.get_rt_info(["pcn", "config"]).value
    return lambda pictures: list(compiled(pictures).values()), json.loads(facts)


def load_torch(path: Path) -> Loaded:
    """What computes the outputs of pictures (N, H, W, C) uint8, and the model's facts."""
    import torch

    facts = {"config": ""}
    module = torch.export.load(path, extra_files=facts).module()
    return lambda pictures: [one.numpy() for one in module(torch.tensor(pictures))], json.loads(facts["config"])


LOADERS = {".onnx": load_onnx, ".xml": load_openvino, ".pt2": load_torch}

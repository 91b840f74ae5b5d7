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

    It is compiled for this processor anew at each start: what OpenVINO would keep of it has no checksum.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type] # the converter, half of the import
    import openvino

    model = openvino.Core().read_model(path)
    compute = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pictures: list(compute(pictures).values()), json.loads(model.get_rt_info(["pcn", "config"]).value)


def load_torch(path: Path) -> Loaded:
    """What computes the outputs of pictures (N, H, W, C) uint8, and the model's facts."""
    import torch

    facts = {"config": ""}
    module = torch.export.load(path, extra_files=facts).module()
    return lambda pictures: [one.numpy() for one in module(torch.tensor(pictures))], json.loads(facts["config"])


LOADERS = {".onnx": load_onnx, ".xml": load_openvino, ".pt2": load_torch}

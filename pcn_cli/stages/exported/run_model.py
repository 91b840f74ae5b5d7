"""Answer photos with the model beside this file: python THIS_FILE PHOTO…, as `pcn predict --json` does."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pcn_cli.stages.exported.loaders import load_onnx as load


def open_photo(file: str) -> Image.Image:
    """The photo upright, RGB, 8 bits; transparent parts are white."""
    image: Image.Image = ImageOps.exif_transpose(Image.open(file))
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) * np.float32(255 / 65535)).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def prepare(image: Image.Image, to: dict[str, Any]) -> np.ndarray:
    """The picture as the model takes it: (H, W, 3) uint8; where it pads (H, W, 4), 0 in the fourth channel there."""
    (w, h), x, y = (to["width"], to["height"]), 0, 0
    if to["fit"] == "pad":
        scale = min(w / image.width, h / image.height)
        w, h = min(max(1, round(image.width * scale)), w), min(max(1, round(image.height * scale)), h)
        x, y = (to["width"] - w) // 2, (to["height"] - h) // 2
    elif to["fit"] == "crop":
        w, h = int(w / to["crop_pct"]), int(h / to["crop_pct"])
        over = min(image.width / w, image.height / h)
        square = max(w, int(w * image.width / image.height)), max(h, int(h * image.height / image.width))
        w, h = square if w == h else (round(image.width / over), round(image.height / over))
        x, y = -round((w - to["width"]) / 2), -round((h - to["height"]) / 2)
    canvas = Image.new("RGBA" if to["fit"] == "pad" else "RGB", (to["width"], to["height"]))
    canvas.paste(image.resize((w, h), Image.Resampling[to["interpolation"].upper()]), (x, y))
    return np.asarray(canvas)


def answer(file: str, p: np.ndarray, decision: np.ndarray, unlike: float, facts: dict[str, Any]) -> dict[str, Any]:
    """What is said of a photo with the probabilities p (K,), the most probable labels first."""
    names, several = facts["classes"], facts["multi_label"]
    ordered = sorted(zip(p.tolist(), names, facts["least"], strict=True), key=lambda one: (-one[0], one[1]))
    ranked = [{"label": name, "p": own} | ({"least": least} if several else {}) for own, name, least in ordered]
    one = {"file": file, "unlike": float(unlike) if facts["remembers"] else None, "top": ranked[:5], "error": None}
    if several:
        sure, given = np.where(decision, p, 1 - p).min(), {names[place] for place in np.flatnonzero(decision)}
        return one | {"labels": [each for each in ranked if each["label"] in given], "confidence": float(sure)}
    label, sure = facts["withheld_label"] if decision < 0 else names[decision], float(p.max())
    reason = "unlike anything learned" if unlike > 1 else "unsure" if decision < 0 else ""
    sets = [{"level": at, "labels": [a["label"] for a in ranked if a["p"] >= least]} for at, least in facts["sets"]]
    return one | {"label": label, "unknown": bool(decision < 0), "reason": reason, "sets": sets, "confidence": sure}


if __name__ == "__main__":
    compute, facts = load(Path(__file__).with_name("model.onnx")) if sys.argv[1:] else sys.exit(__doc__)
    rows = []
    for file in sys.argv[1:]:
        try:
            p, decision, _, _, unlike = compute(prepare(open_photo(file), facts["preprocessing"])[None])
            rows.append(answer(file, p[0], decision[0], unlike[0], facts))
        except OSError as error:
            rows.append({"file": file, "label": None, "confidence": None, "top": [], "error": str(error)})
    print(json.dumps(rows, indent=1))

"""Copy a run's model at half the size: float16 on disk, float32 again once it is loaded.

    python examples/pack_model.py runs/tiny-nano-1 nano --size 128 --name nano

The copy is a model folder: `pcn predict --model nano` and `pcn finetune --model nano` read it. Prints its sha256.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    """Pack what the command line names and say what came out."""
    parser = argparse.ArgumentParser(description="Copy a run's model at half the size.")
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("folder", type=Path, help="where the copy goes")
    parser.add_argument("--size", type=int, help="side of the input in pixels; otherwise as trained")
    parser.add_argument("--name", default="", help="the card that the copy is; otherwise as it was")
    arguments = parser.parse_args()
    weights = pack(arguments.run / "model", arguments.folder, size=arguments.size, name=arguments.name)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB, sha256 {digest}")


def pack(model: Path, folder: Path, *, size: int | None, name: str) -> Path:
    """The weights of the copy in `folder`, in float16, beside a config.json that differs in size and name only."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if size:
        config["preprocessing"] |= {"height": size, "width": size}
        config["pretrained_cfg"]["input_size"] = [3, size, size]
    config["card"] = name or config["card"]
    tensors = {key: tensor.to(torch.float16) for key, tensor in load_file(model / "model.safetensors").items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder / "model.safetensors"


if __name__ == "__main__":
    main()

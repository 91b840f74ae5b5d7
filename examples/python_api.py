"""The whole way in Python: train on a folder of photos, predict some of them, look at where the network looked.

    python examples/python_api.py my_images --model nano --output runs/from-python

does what `pcn finetune` and `pcn predict` do, and prints the accuracy, a few answers and the size of the maps.
"""

import argparse
from pathlib import Path

import torch

import pcn_cli


def main() -> None:
    """Train, predict and look, as the command line asks."""
    parser = argparse.ArgumentParser(description="Train on a folder of photos from Python.")
    parser.add_argument("photos", type=Path, help="a folder with one sub-folder of photos per class")
    parser.add_argument("--model", default="s60", help="a card, timm:NAME, a run or a model folder (default: s60)")
    parser.add_argument("--output", type=Path, required=True, help="the run folder to make")
    parser.add_argument("--size", type=int, default=None, help="side of the network's input in pixels")
    arguments = parser.parse_args()
    outcome = pcn_cli.finetune(
        arguments.photos, model=arguments.model, tune="probe", size=arguments.size, output=arguments.output
    )
    accuracy = outcome.metrics["accuracy"]
    print(
        f"right on {accuracy.value:.1%} of {accuracy.n} test photos ({accuracy.ci_low:.1%} to {accuracy.ci_high:.1%})"
    )
    for answer in pcn_cli.predict(sorted(arguments.photos.glob("*/*.jpg"))[:3], model=outcome.run):
        print(f"{answer['label']}  {answer['confidence']:.1%}  {answer['file']}")
    model = pcn_cli.load_model(outcome.run)
    side = arguments.size or 224
    with torch.inference_mode():
        attended = model.attend(torch.zeros(1, 3, side, side))
    rows, columns = attended.grid
    print(f"{attended.logits.shape[1]} classes, a map of {rows} × {columns} patches")
    print(f"the report is {outcome.report}")


if __name__ == "__main__":
    main()

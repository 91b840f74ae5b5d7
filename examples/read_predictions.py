"""List a run's most confident mistakes, from the table that every run holds.

    python examples/read_predictions.py runs/my_images-s60-1/predictions.csv --most 10

prints one line per mistake: how sure the model was, what it said, what the label says, and the file.
"""

import argparse
from pathlib import Path

from pcn_cli.files.atomic import read_csv


def main() -> None:
    """Print the mistakes that the command line asks for."""
    parser = argparse.ArgumentParser(description="List a run's most confident mistakes.")
    parser.add_argument("predictions", type=Path, help="predictions.csv in a run folder")
    parser.add_argument("--most", type=int, default=10, help="how many to list (default: 10)")
    arguments = parser.parse_args()
    rows = read_csv(arguments.predictions)
    mistakes = confident_mistakes(rows)
    print(f"{len(mistakes)} of {len(rows)} photos are mistaken")
    for row in mistakes[: arguments.most]:
        print(f"{float(row['confidence']):6.1%}  {row['predicted']} instead of {row['label']}  {row['file']}")


def confident_mistakes(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows whose prediction is not the label, the surest first; rows without a label are no mistakes."""
    wrong = [row for row in rows if row["label"] and row["predicted"] != row["label"]]
    return sorted(wrong, key=lambda row: -float(row["confidence"]))


if __name__ == "__main__":
    main()

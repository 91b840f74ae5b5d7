import subprocess
import sys
from pathlib import Path

from pcn_cli.files.atomic import write_csv

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "read_predictions.py"
ROWS = [
    ["a.jpg", "test", "leaf", "leaf", 0.99, True],
    ["b.jpg", "test", "leaf", "ring", 0.6, False],
    ["c.jpg", "test", "=star", "ring", 0.91, False],
    ["d.jpg", "", "", "ring", 0.95, ""],
]


def test_the_most_confident_mistakes_come_first(tmp_path: Path) -> None:
    write_csv(tmp_path / "predictions.csv", ["file", "split", "label", "predicted", "confidence", "correct"], ROWS)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "predictions.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines() == [
        "2 of 4 photos are mistaken",
        " 91.0%  ring instead of =star  c.jpg",
        " 60.0%  ring instead of leaf  b.jpg",
    ]
    one = subprocess.run([*command, "--most", "1"], capture_output=True, text=True, check=True).stdout
    assert len(one.splitlines()) == 2

import json

import pytest

from pcn_cli.cli.commands.bench import _rate
from pcn_cli.stages import bench as stage
from pcn_cli.stages.bench import Bench, ModelBench, Timing


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What the command hands on; nothing is measured."""
    asked = {}

    def bench(models, *, batch_size, rounds, device, callback):
        asked.update(models=models, batch_size=batch_size, rounds=rounds, device=device)
        rows = (
            Timing(work="forward pass", photos_per_second=120.4, ratio=1, ratio_low=1, ratio_high=1),
            Timing(work="step of tuning", photos_per_second=40.12, ratio=3, ratio_low=2.5, ratio_high=3.75),
        )
        models = tuple(
            ModelBench(
                model=name,
                input_size=64,
                parameters=2_100_000,
                gmacs=1.254,
                limit_share=0.4,
                activation_mb=8.04,
                timings=rows,
            )
            for name in models
        )
        return Bench(device="cpu", threads=2, batch_size=batch_size, rounds=rounds, memory_mb=1234.5, models=models)

    monkeypatch.setattr(stage, "bench", bench)
    return asked


def test_the_table_says_what_json_says(pcn, asked):
    shown = " ".join(pcn("bench", "--model", "nano", "--model", "s60", "--batch-size", "8").stdout.decode().split())
    assert asked == {"models": ["nano", "s60"], "batch_size": 8, "rounds": 5, "device": None}
    for words in (
        "nano, 64 × 64, 2.1 M parameters",
        "s60, 64 × 64",
        "forward pass 120 1.00 1.00 – 1.00",
        "1.25 GMACs a photo; the fastest pass reaches 40% of a large convolution",
        "step of tuning 40.1 3.00 2.50 – 3.75",
        "memory kept of each photo in a step of tuning: 8.0 MB in float32",
        "cpu, threads: 2, photos at once: 8, peak memory: 1,234 MB",
    ):
        assert words in shown
    read = json.loads(pcn("bench", "--rounds", "3", "--device", "cpu", "--json").stdout)
    assert asked == {"models": ["nano"], "batch_size": 32, "rounds": 3, "device": "cpu"}
    assert read["memory_mb"] == 1234.5
    assert read["models"][0]["timings"][1]["photos_per_second"] == 40.12


@pytest.mark.parametrize(("rate", "shown"), [(5500.4, "5,500"), (99.94, "99.9"), (0.34, "0.3")])
def test_rates_are_shown_to_three_digits_or_so(rate, shown):
    assert _rate(rate) == shown

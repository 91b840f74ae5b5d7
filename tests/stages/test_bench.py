"""Every figure of a bench is there, positive and agrees with the others; how fast it was is nobody's business here."""

import json

import pytest
import torch

import pcn_cli
from pcn_cli.data.drawing import draw_photos
from pcn_cli.errors import ModelError, ResourceError
from pcn_cli.models.published_form import PublishedForm
from pcn_cli.models.sources import find_source
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.model import Preprocessing
from pcn_cli.stages.bench import (
    BFLOAT16,
    CLASSES,
    FORWARD,
    UNFOLDED,
    Bench,
    bench,
    count_gmacs,
    draw_jpeg,
    list_workloads,
)
from pcn_cli.stages.callback import Callback
from pcn_cli.training.device import has_native_bf16

CPU = torch.device("cpu")


class Ear(Callback):
    def __init__(self) -> None:
        self.heard = []

    def on_progress(self, title, done, total):
        self.heard.append((title, done, total))


@pytest.fixture(scope="module")
def small_run(tmp_path_factory, tiny_weights):
    """A run at 32 pixels, so that a round takes no time."""
    folder = tmp_path_factory.mktemp("bench")
    draw_photos(folder / "photos", {"train": 3, "val": 2, "test": 2}, seed=0)
    settings = ["train.probe_epochs=1", "explain.checks=0", "explain.overlays=0"]
    return pcn_cli.finetune(
        folder / "photos", model=tiny_weights, tune="probe", size=32, settings=settings, output=folder / "run"
    ).run


def test_every_figure_is_there_and_agrees_with_the_others(small_run):
    ear = Ear()
    found = bench([small_run, small_run / "model"], batch_size=3, rounds=2, device="cpu", callback=ear)
    assert (found.device, found.batch_size, found.rounds) == ("cpu", 3, 2)
    assert found.threads == torch.get_num_threads()
    assert found.memory_mb > 10
    assert [one.input_size for one in found.models] == [32, 32]
    for one in found.models:
        kinds = [row.work.split(" (")[0] for row in one.timings]
        fast = [BFLOAT16] if has_native_bf16(CPU) else []
        assert kinds == [FORWARD, *fast, "forward pass and all maps", "step of the probe", "step of tuning", "decoding"]
        assert min(one.gmacs, one.limit_share) > 0
        assert one.parameters > 1000
        assert one.activation_mb > 0
        assert all(0 < row.ratio_low <= row.ratio <= row.ratio_high for row in one.timings)
        assert all(row.photos_per_second > 0 for row in one.timings)
        plain = one.timings[0]
        assert plain.ratio_low == plain.ratio == plain.ratio_high == 1
        for row in one.timings:
            around = plain.photos_per_second / row.photos_per_second
            # Of two rounds the median is the mean, so this holds whatever was measured.
            assert row.ratio_low - 1e-9 <= around <= row.ratio_high + 1e-9
    assert ear.heard == [(f"measuring {one.model}", done, 2) for one in found.models for done in range(3)]
    assert from_plain(Bench, json.loads(json.dumps(to_plain(found)))) == found


@pytest.mark.parametrize("source", ["nano", "timm:mobilenetv3_small_050"])
def test_the_network_is_not_changed_and_both_steps_learn(source):
    network = find_source(source).sketch(len(CLASSES))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    works = list_workloads(network, Preprocessing(height=32, width=32), batch_size=2, device=CPU, on_note=pytest.fail)
    assert (UNFOLDED in works) == (source != "nano")
    if UNFOLDED in works:
        torch.testing.assert_close(works[FORWARD].do(), works[UNFOLDED].do(), rtol=1e-4, atol=1e-5)
    for name, work in works.items():
        result = work.do()
        if name.startswith("step"):
            assert result.bad_photos == ()
            assert result.loss > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_decoded_file_holds_as_much_detail_as_a_photo():
    assert 200_000 < len(draw_jpeg()) < 400_000
    assert draw_jpeg() == draw_jpeg()


def test_the_forward_pass_in_bfloat16_is_there_where_the_device_has_it(monkeypatch):
    network, small = find_source("nano").sketch(len(CLASSES)), Preprocessing(height=32, width=32)
    for native in (True, False):
        monkeypatch.setattr("pcn_cli.stages.bench.has_native_bf16", lambda _, native=native: native)
        works = list_workloads(network, small, batch_size=2, device=CPU, on_note=pytest.fail)
        assert (BFLOAT16 in works) == native
        if native:
            torch.testing.assert_close(works[BFLOAT16].do(), works[FORWARD].do(), rtol=0.1, atol=0.02)


@pytest.mark.parametrize(("card", "published"), [("s60", 3.979), ("b60", 15.803)])
def test_products_are_counted_as_published(card, published):
    network = find_source(card).sketch(1000)
    assert count_gmacs(PublishedForm(network), 224) == pytest.approx(published, rel=2e-3)
    assert published * 0.98 < count_gmacs(network, 224) < published  # keys and values of single patches are not formed


def test_a_card_needs_no_weights_and_nothing_is_written(tmp_path, own_cache):
    assert find_source("s60").download_bytes
    small = Preprocessing(height=32, width=32)
    works = list_workloads(
        find_source("s60").sketch(len(CLASSES)), small, batch_size=1, device=CPU, on_note=pytest.fail
    )
    assert works[FORWARD].do().shape == (1, len(CLASSES))
    assert not own_cache.exists()
    assert not list((tmp_path / "work").iterdir())


def test_an_unknown_network_or_device_is_told():
    with pytest.raises(ModelError, match="s61"):
        bench(["s61"], rounds=1)
    with pytest.raises(ResourceError, match="there is no kind of device"):
        bench(device="abacus", rounds=1)

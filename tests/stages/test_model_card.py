"""A finished run's model folder tells what the model is, with the numbers that stand everywhere else."""

import json
import re

import pytest
import timm
from huggingface_hub import ModelCard

import pcn_cli
from pcn_cli.metrics.definitions import described
from pcn_cli.report.format import heading, interval, measured
from pcn_cli.runs.evaluation import read_evaluation
from pcn_cli.runs.rundir import RunDir
from pcn_cli.stages.evaluate_run import evaluate
from pcn_cli.stages.models import verify_models

HOSTILE = ('"]: #', "---", "{red}\n---")


@pytest.fixture
def run(photo_folder, tiny_weights) -> RunDir:
    """A finished run on photos whose classes have hostile names."""
    for name, hostile in zip(("blue", "green", "red"), HOSTILE, strict=True):
        (photo_folder / name).rename(photo_folder / hostile)
    settings = ["train.probe_epochs=2"]
    return RunDir(pcn_cli.finetune(photo_folder, model=tiny_weights, tune="probe", size=32, settings=settings).run)


def test_the_card_the_metrics_and_the_page_tell_the_same_numbers(run, photo_folder):
    card = ModelCard.load(run.model_card)
    metrics = json.loads(run.metrics.read_text())
    told = {result.metric_name: result.metric_value for result in card.data.eval_results}
    read = described(read_evaluation(run).metrics)
    card_keys = [name for name in metrics if "card" in read[name].words.shown]
    expected = {heading(read[name].words.title): metrics[name]["value"] for name in card_keys}
    assert told == expected
    assert len(told) >= 5
    assert {result.dataset_name for result in card.data.eval_results} == {photo_folder.name}
    page = (run.report / "index.html").read_text(encoding="utf-8")
    figure = r"<dt><(?:button|span)[^>]*>([^<]+)</(?:button|span)></dt><dd>([^<]+?) <small>([^<]*)</small>"
    shown = re.findall(figure, page[page.index('id="card-title"') :])
    wanted = [(heading(read[n].words.title), measured(read[n]), interval(read[n])) for n in card_keys]
    assert shown == wanted
    for title, value, around in wanted:
        assert f"| {title} | {value} | {around} |" in card.text


def test_the_model_loads_and_proves_itself_beside_its_card(run, photo_folder):
    photo = next(photo_folder.rglob("*.jpg"))
    assert pcn_cli.predict([photo], model=run.model)[0]["label"] in HOSTILE
    assert timm.create_model(f"local-dir:{run.model}", pretrained=True) is not None
    assert [check["state"] for check in verify_models([str(run.root)])] == ["verified"]


def test_the_card_may_be_edited_or_taken_away(run, photo_folder):
    photo = next(photo_folder.rglob("*.jpg"))
    run.model_card.write_text("my own words")
    assert pcn_cli.predict([photo], model=run.root)[0]["error"] is None
    run.model_card.unlink()
    assert pcn_cli.predict([photo], model=run.root)[0]["error"] is None


def test_measuring_again_writes_it_anew_and_measuring_elsewhere_does_not(run, photo_folder):
    written = run.model_card.read_text()
    run.model_card.write_text("stale")
    elsewhere = evaluate(run.root, images=photo_folder)
    assert run.model_card.read_text() == "stale"
    assert not elsewhere.run.model_card.exists()
    evaluate(run.root)
    assert run.model_card.read_text() == written


def test_it_names_no_path(run, photo_folder):
    text = run.model_card.read_text()
    assert str(photo_folder.parent) not in text
    assert str(run.root.resolve().parent) not in text

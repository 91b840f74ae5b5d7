"""The model card is what the Hugging Face Hub reads, whatever the names in it are."""

import math

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from pcn_cli.metrics.definitions import METRICS, described
from pcn_cli.records.metrics import ClassRow, Metric
from pcn_cli.records.model import ModelConfig, Preprocessing
from pcn_cli.report.content import ReportContent
from pcn_cli.report.model_card import (
    MOST_CLASSES,
    describe_for_hub,
    fenced,
    plain_markdown,
    without_folders,
    write_card,
)

HOSTILE = [
    '"]: #', "---", "- a: b", "a\n---\nb", "![x](http://x.org/a.png)", "<script>alert(1)</script>", "| a |\n|---|",
    "```", "\\", "# one", "{{ 7 * 7 }}", "null", "1.0", "\x1b[31m\u202ered", "\udcff", "", "https://www.x.org",
    "a*b_c_",
]  # fmt: skip


def shapes(text: str) -> list[str | int]:
    """What each line is in Markdown: a table's row by its cells, a heading, an item, a fence, code, or text."""
    found, fence = [], ""
    for line in text.splitlines():
        if fence:
            kind, fence = ("fence", "") if line == fence else ("code", fence)
        elif line.startswith("```"):
            kind, fence = "fence", line.rstrip("abcdefghijklmnopqrstuvwxyz")
        elif line.startswith("|"):
            kind = line.replace("\\\\", "").replace("\\|", "").count("|")
        else:
            kind = next((start for start in ("# ", "## ", "- ") if line.startswith(start)), bool(line))
        found.append(kind)
    return found


def test_the_hub_reads_the_figures_that_were_measured(invent):
    content = invent()
    card = ModelCard(write_card(content, photos="trees"))
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "pcn")
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.model_name == content.title
    told = {result.metric_name: result for result in card.data.eval_results}
    assert set(told) == {"Accuracy", "Log-loss"}
    for name, title in (("accuracy", "Accuracy"), ("log_loss", "Log-loss")):
        assert told[title].metric_value == content.metrics[name].value
        assert (told[title].metric_type, told[title].dataset_name) == (name, "trees")
        assert (told[title].dataset_type, told[title].dataset_split) == ("imagefolder", "test")
    name, again = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert (name, again) == (content.title, card.data.eval_results)


def test_people_read_intervals_baselines_classes_limits_and_how_to_use_it(invent):
    text = write_card(invent(), photos="trees")
    accuracy = invent().metrics["accuracy"]
    for words in (
        f"| Accuracy | {100 * accuracy.value:.1f}\N{NO-BREAK SPACE}% | ({100 * accuracy.ci_low:.1f}–",
        "On 60\N{NO-BREAK SPACE}pictures of the test part",
        "| **probe** (this model) |",
        "| always birch | 33.3",
        "| birch | 50.0",
        "trained on 15\N{NO-BREAK SPACE}photos of the folder trees",
        "- It knows 3 classes",
        "and on no others",
        "- a warning: seen",
        "pcn finetune photos",
        "pcn predict photo.jpg --model path/to/this/folder",
    ):
        assert words in text
    assert "a note" not in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_breaks_the_front_matter(invent, hostile):
    content = invent(name=lambda word: f"{hostile}{word}")
    card = ModelCard(write_card(content, photos=f"{hostile}trees"))
    (dataset,) = {result.dataset_name for result in card.data.eval_results}
    assert dataset.endswith("trees")
    assert card.data.library_name == "pcn"
    assert card.data.license == ("other" if hostile else "apache-2.0")
    assert card.text.startswith("\n\n# ") or card.text.startswith("\n# ") or card.text.startswith("# ")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_breaks_a_line_a_table_or_a_block_of_the_text(invent, hostile):
    plain = write_card(invent(), photos="trees")
    steered = write_card(invent(name=lambda word: f"{hostile}{word}"), photos=f"{hostile}trees")
    assert shapes(ModelCard(steered).text) == shapes(ModelCard(plain).text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_escaped_names_hold_nothing_that_markdown_acts_on(hostile):
    shown = plain_markdown(hostile)
    assert shown
    assert shown.isprintable()
    assert "://" not in shown
    left = shown.replace("\\\\", "")
    for character in "`*_[]<>#|~$&@":
        assert left.count(character) == left.count(f"\\{character}")


def test_a_block_of_code_ends_where_it_should():
    assert fenced("a ``` b", "sh") == "````sh\na ``` b\n````"


@pytest.mark.parametrize(
    ("licence", "told", "name"),
    [("Apache-2.0", "apache-2.0", None), ("cc-by-nc-4.0", "cc-by-nc-4.0", None), ("my own", "other", "my own")],
)
def test_a_licence_the_hub_does_not_list_is_named(licence, told, name):
    data = describe_for_hub(with_model(licence=licence), photos="trees")
    assert (data.license, data.license_name) == (told, name)


def test_without_a_known_licence_none_is_claimed():
    assert "license" not in describe_for_hub(with_model(), photos="trees").to_dict()


def test_a_path_in_the_command_stays_at_home():
    text = write_card(with_model(card="/home/anna/nets/tiny.pth"), photos="trees")
    assert "anna" not in text
    assert "tiny.pth" in text


def test_only_so_many_classes_are_listed_and_the_rest_counted():
    many = tuple(ClassRow(label=f"kind {i}", precision=1, recall=1, f1=1, support=30) for i in range(MOST_CLASSES + 3))
    text = write_card(with_model(per_class=many), photos="trees")
    assert text.count("| kind ") == MOST_CLASSES
    assert "and 3\N{NO-BREAK SPACE}classes more" in text


def test_every_figure_of_the_page_may_stand_in_the_front_matter():
    shown = [row.key for row in METRICS if "card" in row.words.shown]
    assert shown
    metrics = described({name: Metric(value=math.pi / 4, n=50, method="") for name in shown})
    data = describe_for_hub(with_model(metrics=metrics), photos="trees")
    assert len({result.metric_type for result in data.eval_results}) == len(shown)
    assert {result.metric_value for result in data.eval_results} == {math.pi / 4}


def test_a_model_that_was_not_measured_claims_nothing():
    text = write_card(with_model(metrics={}), photos="trees")
    assert "model-index" not in text
    assert "measured to do" not in text


def with_model(*, card: str = "", licence: str = "", **facts: object) -> ReportContent:
    """A content with little more than a model."""
    known = {"metrics": described({"accuracy": Metric(value=0.5, n=50, method="")}), **facts}
    return ReportContent(
        title="a run",
        run="run-1",
        classes=("birch", "oak"),
        predictions=(),
        model=ModelConfig(
            architecture="patchconvnet_nano",
            classes=("birch", "oak"),
            preprocessing=Preprocessing(height=64, width=64),
            card=card,
            licence=licence,
        ),
        **known,
    )


def test_a_command_is_shown_without_its_folders():
    typed = (
        "pcn finetune ../clients/acme/photos --labels 'my private/x.csv' --set train.teacher=timm:local-dir:/a/b/net"
    )
    shown = "pcn finetune photos --labels x.csv --set train.teacher=timm:local-dir:net"
    assert without_folders(typed) == shown
    assert without_folders("pcn finetune a/b --mirror https://host/x") == "pcn finetune b --mirror https://host/x"

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from pcn_cli.records.evaluation import LearningCurve, Trust
from pcn_cli.records.predictions import Suspect
from pcn_cli.report.page import render_page
from pcn_cli.report.pages.index import PAGES
from pcn_cli.report.view_model import ReportView, build_rows


def render(content):
    return render_page(ReportView(content=content, rows=build_rows(content)))


def read_words(content):
    """What a person reads of the page, tags and line breaks aside."""
    return " ".join(re.sub(r"<[^>]*>", " ", render(content)).replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_policy_names_the_one_script_and_the_one_style_by_hash(invent):
    html = render(invent())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_in_the_page_needs_what_the_policy_forbids(invent):
    html = render(invent())
    assert not re.findall(r"\s(style|on[a-z]+)=\"", html)
    assert not re.findall(r"(?:src|href)=\"(?!#|img/|figures/|data:image)", html)


def test_the_headline_says_count_interval_and_baseline(invent):
    content = invent(60)
    text = re.sub(r"<[^>]*>", "", render(content)).replace("\N{NO-BREAK SPACE}", " ")
    right = sum(bool(prediction.correct) for prediction in content.predictions)
    low = 100 * (right / 60 - 0.1)
    assert f"Right on {right} of 60 pictures{100 * right / 60:.1f} % ({low:.1f}–{100 * right / 60:.1f})" in text
    assert "Always guessing birch would give 33.3 %." in text


def test_findings_come_the_gravest_first(invent):
    html = render(invent())
    assert html.index("a warning") < html.index("a note")


def test_a_long_list_of_files_in_a_finding_is_folded_and_a_sentence_is_not(invent):
    content, files = invent(), ", ".join(f"oak/{number:04}.jpg" for number in range(30))
    listed = replace(content.findings[0], evidence=files)
    html = render(replace(content, findings=(listed,)))
    assert f'<details><summary>Which</summary><p class="name">{files}</p></details>' in html
    assert "<summary>Which</summary>" not in render(content)


@pytest.mark.parametrize(
    ("f1", "kept", "told"),
    [
        ((0.7, 0.8), "probe", False),
        ((0.8, 0.7), "probe", True),
        ((None, None), "probe", False),
        ((0.7, 0.8), "tuned", False),  # of a simpler one that is ahead nothing of the kind can be said
    ],
)
def test_where_another_model_is_ahead_the_page_says_why_the_simpler_was_kept(invent, f1, kept, told):
    content = invent()
    made = sorted(content.candidates, key=lambda one: one.name, reverse=True)
    assert [one.name for one in made] == ["tuned", "probe"]  # the last made first, as a run has them
    candidates = [replace(one, val_macro_f1=value, kept=one.name == kept) for one, value in zip(made, f1, strict=True)]
    text = read_words(replace(content, candidates=tuple(candidates)))
    assert ("so the simpler model is kept" in text) is told
    assert ("the simpler one is kept" in text) is told


def test_without_labels_the_pages_that_need_them_are_left_out(invent):
    html = render(invent(labelled=False))
    assert re.findall(r'data-page="(\w+)"', html) == ["overview", "gallery", "health"]
    assert "Right on" not in html


def test_every_page_has_a_name_of_its_own_and_a_heading(invent):
    html = render(invent())
    listed = [page.name for page in PAGES if page.listed]
    assert len(set(listed)) == len(listed) > 0
    assert re.findall(r'<section class="page" id="(\w+)"', html) == listed
    assert re.findall(r'<h1 id="(\w+)-title"', html) == listed


def test_data_health_names_doubtful_labels_where_there_are_any(invent):
    content = invent()
    assert "2\N{NO-BREAK SPACE}photos whose label was doubted" in render(content)
    assert "doubtful-1.jpg" in render(content)
    assert 'They wait on the <a href="#desk">Desk</a>' in render(content)
    assert 'href="#desk">Desk</a>, with' not in render(replace(content, desk=None))
    without = render(replace(content, artifacts=content.artifacts.without(Suspect)))
    assert "Labels to look at" not in without
    assert 'data-page="health"' in without


def test_doubtful_labels_are_enough_for_data_health(invent):
    html = render(replace(invent(), scan=None))
    assert "doubtful-1.jpg" in html
    assert 'data-page="health"' in html


def test_the_checks_of_the_maps_stand_with_their_verdicts(invent):
    content = invent(60)
    text = read_words(content)
    assert "The maps pass 1 of 2 checks." in text
    assert "with even attention it is right as often" in text
    assert "✓ passes order? so Figures Look" in text
    assert "✕ fails uniform_attention? so" in text
    assert 'id="trust"' not in render(replace(content, artifacts=content.artifacts.without(Trust)))


def test_a_learning_curve_stands_with_its_step_and_the_class_that_gained_most(invent):
    content = invent(60)
    text = read_words(content)
    assert "The step from half to all: +3.0 points (−1.0 to +7.0). birch gained most: from 40.0 % to 50.0 %" in text
    assert "1/2 6 2" in text
    assert "all 12 1" in text
    assert len(re.findall('class="span"', render(content).split('id="training"')[1])) == 2
    assert "without 1/8 and 1/4: too few photos of a class, such as maple" in text
    assert "What fewer photos taught" not in render(
        replace(content, artifacts=content.artifacts.without(LearningCurve))
    )


def test_the_model_card_says_what_becomes_of_pictures_below_the_threshold(invent):
    content = invent(60)
    selected = replace(content.model, selection=content.confidence.selection)
    sentence = "for one of them, or where it is less sure than its threshold for unknown."
    assert sentence in render(replace(content, model=selected))
    assert sentence not in render(content)

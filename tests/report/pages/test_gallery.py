from dataclasses import replace

from pcn_cli.report.content import ScanFacts
from pcn_cli.report.page_data import Details
from pcn_cli.report.pages.gallery import UNSURE, find_filters, unsure_below
from pcn_cli.report.view_model import build_rows


def filters_of(content):
    return {one.name: one.rows for one in find_filters(content, build_rows(content))}


def test_filters_name_the_rows_that_pass_them(invent):
    content = invent(30)
    found = filters_of(content)
    assert found["wrong"] == tuple(n for n, p in enumerate(content.predictions) if not p.correct)
    assert sorted(found["wrong"] + found["right"]) == list(range(30))
    assert found["unsure"] == tuple(n for n, p in enumerate(content.predictions) if p.confidence < 0.7)
    assert found["border"] == tuple(n for n, p in enumerate(content.predictions) if p.attention.border_share >= 1.5)
    assert found["flips"] == tuple(n for n, p in enumerate(content.predictions) if p.predicted != p.hiding.hidden_top)
    assert found["copy"] == (0,)


def test_what_is_unlike_anything_learned_is_a_choice_and_a_fact_of_the_picture(invent):
    content = invent(9)
    answers = (replace(one, unlike=0.5 + 0.2 * n) for n, one in enumerate(content.predictions))
    content = replace(content, predictions=tuple(answers))
    rows = build_rows(content)
    assert filters_of(content)["unlike"] == (3, 4, 5, 6, 7, 8)
    ((_, details),) = Details(content, rows, alike_pictures={}).chunks()
    told = [dict(one["facts"])["Likeness"] for one in details]
    assert told[0] == "like what was learned: 0.50 of the distance allowed"
    assert told[8] == "unlike anything learned: 2.10 of the distance allowed"


def test_a_kind_of_no_picture_is_no_choice(invent):
    assert "copy" not in filters_of(replace(invent(9), scan=ScanFacts()))
    assert not {"wrong", "right"} & set(filters_of(invent(9, labelled=False)))


def test_unsure_is_below_the_models_threshold_or_a_half(invent):
    assert unsure_below(invent(9)) == 0.7
    assert unsure_below(invent(9, labelled=False)) == UNSURE

from dataclasses import replace

import pytest

from pcn_cli.records.slices import Slices
from pcn_cli.report.page import render_page
from pcn_cli.report.pages.classes import build_matrix, view_confusions
from pcn_cli.report.pictures import PhotoPictures
from pcn_cli.report.view_model import ReportView, Rows, build_rows
from pcn_cli.report.write import build_view


def test_the_matrix_counts_as_people_do():
    """Numbers as classes stood there as 0, 1, 10, 2."""
    matrix = build_matrix(Rows((), ("0", "1", "10", "2", "b")), dict.fromkeys(("0", "1", "10", "2", "b"), 1))
    assert [line[0]["label"] for line in matrix] == ["0", "1", "2", "10", "b"]
    assert [cell["predicted"] for cell in matrix[0]] == ["0", "1", "2", "10", "b"]


def test_only_slices_that_passed_the_test_are_shown(invent, photo):
    def page(content):
        photos = PhotoPictures(open_photo=photo)
        return render_page(build_view(content, lambda *_: None, lambda *_: None, photos, thumbnail=32, on_picture=None))

    content = invent(3)
    html = page(content)
    assert "folder: night" in html
    assert "folder: day" not in html
    assert "2 slices by folder" in html
    assert "Photos that are answered worse" not in page(replace(content, artifacts=content.artifacts.without(Slices)))


@pytest.mark.parametrize(
    ("names", "level"), [(("oak", "elm"), True), (("oak", "a" * 30), False), (tuple("abcdefghi"), False)]
)
def test_names_of_columns_are_level_where_there_is_room_for_them(invent, names, level):
    (answer,) = invent(1).predictions
    shares = (1 / len(names),) * len(names)
    answer = replace(answer, label=names[-1], predicted=names[0], probabilities=shares)
    content = replace(invent(1), classes=names, predictions=(answer,))
    assert view_confusions(ReportView(content=content, rows=build_rows(content)))["level"] is level

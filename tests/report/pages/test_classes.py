from pcn_cli.report.pages.classes import build_matrix
from pcn_cli.report.view_model import Rows


def test_the_matrix_counts_as_people_do():
    """Numbers as classes stood there as 0, 1, 10, 2."""
    matrix = build_matrix(Rows((), ("0", "1", "10", "2", "b")), dict.fromkeys(("0", "1", "10", "2", "b"), 1))
    assert [line[0]["label"] for line in matrix] == ["0", "1", "2", "10", "b"]
    assert [cell["predicted"] for cell in matrix[0]] == ["0", "1", "2", "10", "b"]

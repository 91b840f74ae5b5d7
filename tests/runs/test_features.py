import numpy as np
import pytest

from pcn_cli.errors import RunError
from pcn_cli.records.photos import SplitRow
from pcn_cli.runs.features import read_features, write_features


def test_names_labels_and_numbers_come_back(tmp_path):
    names = ("a/ä \udcff.jpg", "b/=1+1.jpg")
    rows = tuple(SplitRow(file=name, label=name[0], split="val", sha256="0" * 64) for name in names)
    features = np.random.default_rng(0).normal(size=(2, 5)).astype("f4")
    write_features(tmp_path / "features.npz", rows, features)
    found = read_features(tmp_path / "features.npz")
    assert found.rows == rows
    assert np.allclose(found.features, features, atol=2e-3)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", "cut"])
def test_a_damaged_file_is_an_error_of_the_run(tmp_path, damage):
    path = tmp_path / "features.npz"
    rows = (SplitRow(file="a.jpg", label="a", split="val", sha256="0" * 64),)
    write_features(path, rows, np.zeros((1, 5), "f4"))
    path.write_bytes(path.read_bytes()[:200] if damage == "cut" else damage)
    with pytest.raises(RunError, match=r"features.npz is damaged"):
        read_features(path)

"""Most of the files that tests/harness/hostile.py tries: what is no model is refused."""

import sys
from pathlib import Path

import pytest

from pcn_cli.errors import ModelError
from pcn_cli.models.sources import find_source
from pcn_cli.models.weights import Fetcher

sys.path.insert(0, str(Path(__file__).parents[1] / "harness"))

from hostile_weights import PROOF, make_files

MOST = {"pickle": 20, "zip": 10, "tensors": 10, "header": 30, "folder": 50}
APART = ("pickle: takes 64 GiB by builtins.bytearray", "pickle: a memo of four thousand million places")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return dict(make_files(tmp_path_factory.mktemp("hostile")))


def test_there_are_enough_of_every_kind(hostile: dict[str, Path]) -> None:
    for kind, most in MOST.items():
        assert sum(name.startswith(kind) for name in hostile) > most * 0.7, kind
    assert len(hostile) > 150


@pytest.mark.parametrize("kind", ["header", "folder"])
def test_what_is_no_model_is_refused(hostile: dict[str, Path], kind: str) -> None:
    for name, path in hostile.items():
        if name.startswith(kind):
            with pytest.raises(ModelError) as caught:
                find_source(str(path)).read(fetch=Fetcher(offline=True))
            assert len(caught.value.message) < 2000, name


@pytest.mark.parametrize("kind", ["pickle: calls", "zip", "tensors"])
def test_what_is_no_weight_file_is_refused_and_not_run(
    hostile: dict[str, Path], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, path in hostile.items():
        if name.startswith(kind):
            with pytest.raises(ModelError):
                find_source(str(path)).read(fetch=Fetcher(offline=True))
            assert not (tmp_path / PROOF).exists(), name


@pytest.mark.apart
@pytest.mark.parametrize("name", APART)
def test_what_asks_for_any_memory_is_refused_by_a_process_of_its_own(hostile: dict[str, Path], name: str) -> None:
    with pytest.raises(ModelError):
        find_source(str(hostile[name])).read(fetch=Fetcher(offline=True))

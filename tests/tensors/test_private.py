"""What torch and timm keep to themselves."""

import subprocess
import sys
from types import ModuleType

import pytest

from pcn_cli.tensors import private

PROGRAM = """
import sys
import pcn_cli.stages.finetune
print("timm" in sys.modules)
from pcn_cli.tensors.private import import_timm
timm = import_timm()
print(timm.is_model("resnet18"), "torch._dynamo" in sys.modules)
from timm.models.naflexvit import NaFlexRopeIterator
print(NaFlexRopeIterator.__next__._torchdynamo_disable)
"""


def test_timm_comes_late_and_without_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "False", "True"]


def test_what_is_lent_forwards_to_the_compiler_once_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = ModuleType("torch._dynamo.utils")
    utils.is_compile_supported = lambda device: device == "cpu"
    monkeypatch.setitem(sys.modules, utils.__name__, utils)
    assert private._is_compile_supported("cpu")
    assert not private._is_compile_supported("mps")


@pytest.mark.parametrize("error", [ImportError, AttributeError])
def test_a_version_that_names_more_of_the_compiler_gets_all_of_it(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    lent = []

    def refuse_first(name: str) -> ModuleType:
        lent.append("torch._dynamo" in sys.modules)
        if len(lent) == 1:
            raise error(name)
        return ModuleType(name)

    for name in [*filter(lambda name: name.startswith("torch._dynamo"), sys.modules), "timm"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(private, "import_module", refuse_first)
    assert private.import_timm().__name__ == "timm"
    assert lent == [True, False]


def test_where_the_compiler_is_there_already_nothing_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModuleType("torch._dynamo")
    monkeypatch.setitem(sys.modules, own.__name__, own)
    monkeypatch.setattr(private, "import_module", lambda name: (name, sys.modules["torch._dynamo"]))
    assert private.import_timm() == ("timm", own)

"""A compiled trunk gives the same numbers, and says what is missing where it cannot be compiled."""

import pytest
import torch
from standin import Standin

from pcn_cli.errors import ResourceError
from pcn_cli.training.compiling import compile_trunk

CPU = torch.device("cpu")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, while it compiles
def test_a_compiled_network_computes_the_same_for_batches_of_any_size() -> None:
    plain, compiled = Standin(), Standin()
    compile_trunk(compiled, CPU)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for count in (6, 4):
        images = torch.randn(count, 3, 16, 16)
        for model in (plain, compiled):
            model.zero_grad()
            model(images).square().sum().backward()
        for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcn_cli.training.compiling.shutil.which", lambda _: None)
    with pytest.raises(ResourceError, match="C\\+\\+ compiler") as caught:
        compile_trunk(Standin(), CPU)
    assert "g++" in caught.value.hint

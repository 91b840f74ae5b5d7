"""A trunk that is compiled computes the same, and says what it needs of the machine."""

from pathlib import Path

import pytest
import torch
from standin import ColourBatches, Standin, make_config, run_fit

from pcn_cli.errors import ResourceError, StoppedError
from pcn_cli.training.compiled import compile_trunk
from pcn_cli.training.stop import StopRequest

CPU = torch.device("cpu")
WHILE_COMPILING = "ignore:The .grad attribute of a Tensor"  # torch's own warning


@pytest.mark.filterwarnings(WHILE_COMPILING)
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


@pytest.mark.parametrize(("device", "language", "compiler"), [("cpu", "C++", "g++"), ("cuda", "C", "gcc")])
def test_without_a_compiler_the_error_says_what_to_install(
    device: str, language: str, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcn_cli.training.compiled.shutil.which", lambda _: None)
    monkeypatch.setattr("pcn_cli.training.compiled.sys.platform", "linux")
    with pytest.raises(ResourceError) as caught:
        compile_trunk(Standin(), torch.device(device))
    assert caught.value.message == f"train.compile needs a {language} compiler, and there is none"
    assert caught.value.hint == f"install {compiler}, or leave train.compile out"


@pytest.mark.filterwarnings(WHILE_COMPILING)
def test_a_compiled_fit_resumes_to_the_same_bits(tmp_path: Path) -> None:
    batches, stop = ColourBatches(), StopRequest()
    options = {"config": make_config(compile=True), "stop": stop}

    def run(model: Standin, **more: object):
        torch._dynamo.reset()  # as in a new process
        return run_fit(model, batches, **options, **more)

    whole = run(Standin())

    def stop_there(step: int, *_: float) -> None:
        if step == 4:
            stop.request()

    with pytest.raises(StoppedError):
        run(Standin(), checkpoints=tmp_path, on_step=stop_there)
    stop.signal_number = 0
    resumed = run(Standin(seed=8), checkpoints=tmp_path)
    assert all(torch.equal(resumed.best_state[name], tensor) for name, tensor in whole.best_state.items())

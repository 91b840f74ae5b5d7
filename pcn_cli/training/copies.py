"""Copies of tensors on the CPU, as checkpoints and best weights are kept."""

from torch import Tensor, nn


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """The network's tensors as contiguous copies on the CPU."""
    return {name: copy_tensor(tensor) for name, tensor in model.state_dict().items()}


def on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with contiguous copies on the CPU in the place of those that are no such."""
    fit = {name: tensor.device.type == "cpu" and tensor.is_contiguous() for name, tensor in tensors.items()}
    return {name: tensor if fit[name] else copy_tensor(tensor) for name, tensor in tensors.items()}


def copy_tensor(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU."""
    return tensor.detach().to("cpu", copy=True).contiguous()

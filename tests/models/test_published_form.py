"""The reference that our forms are measured against computes what they do."""

import pytest
import torch
from torch import nn

from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.published_form import PublishedForm


def test_it_has_the_network_s_parameters_and_gives_its_logits_and_gradients():
    torch.manual_seed(0)
    network = PatchConvNet(embed_dim=32, depth=3, num_classes=5).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    form, images = PublishedForm(network), torch.randn(2, 3, 48, 64)
    assert [id(one) for one in form.parameters()] == [id(one) for one in network.parameters()]
    gradients = []
    for one in (form, network):
        network.zero_grad()
        logits = one(images)
        logits.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None])
    torch.testing.assert_close(form(images), logits, rtol=1e-4, atol=1e-5)
    for own, other in zip(*gradients, strict=True):
        assert (own - other).norm() <= 1e-4 * max(float(other.norm()), 1.0)


def test_a_token_for_each_class_is_not_its_kind():
    with pytest.raises(ValueError, match="each class"):
        PublishedForm(PatchConvNet(embed_dim=16, depth=1, num_classes=3, class_tokens=True))

import pytest
import torch

from pcn_cli.models.pooling import AttentionPooling, ScaledLinear


@torch.no_grad()
def test_a_layer_draws_the_same_map_at_any_scale() -> None:
    torch.manual_seed(0)
    for scale in (1.0, 1 / 64):
        layer = ScaledLinear(64, 64, scale=scale)
        layer.draw(std=0.02)
        assert (layer.scale * layer.weight).std().item() == pytest.approx(0.02, rel=0.1)
        assert not layer.bias.any()


@torch.no_grad()
def test_transposed_is_the_transpose() -> None:
    layer = ScaledLinear(8, 8, scale=0.3, residual=True)
    layer.draw(std=0.5)
    x, query = torch.randn(5, 8), torch.randn(2, 8)
    torch.testing.assert_close(layer(x) @ query.T, x @ layer.transposed(query).T)


@torch.no_grad()
def test_a_step_of_the_optimizer_moves_a_wide_pooling_little() -> None:
    for width in (64, 1024):
        layer = ScaledLinear(width, width, scale=1 / width, residual=True)
        layer.draw(std=0.0)
        layer.weight += 1e-3  # what Adam does to every entry in one step
        x = torch.ones(1, width)
        torch.testing.assert_close(layer(x) - x, torch.full_like(x, 1e-3), atol=1e-6, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("layer_scale", [None, 0.5])
def test_pooling_that_starts_averaging_gives_the_mean_and_even_weights(layer_scale) -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(16, layer_scale=layer_scale).eval()
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter)
    pooling.start_averaging()
    tokens = torch.randn(3, 16, 4, 5)
    pooled = pooling(tokens)
    patches = tokens.flatten(2).transpose(1, 2)
    values = patches if layer_scale is None else torch.nn.functional.layer_norm(patches, (16,), eps=1e-6)
    torch.testing.assert_close(pooled.tokens[:, 0], values.mean(dim=1) * 20 / 21)
    torch.testing.assert_close(pooled.weights, torch.full((3, 1, 21), 1 / 21))


@pytest.mark.parametrize("layer_scale", [None, 0.5])
def test_a_shifted_query_mixes_as_the_forward_pass_does(layer_scale) -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(16, layer_scale=layer_scale).eval()
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tokens, shift = 3 * torch.randn(5, 16, 3, 4) + 1, torch.randn(16)
    mixed = pooling.finish(pooling.mix_shifted(tokens, shift))
    still = pooling.finish(pooling.mix_shifted(tokens, torch.zeros(16)))
    torch.testing.assert_close(still, pooling(tokens).tokens, rtol=1e-4, atol=1e-4)
    pooling.shift_query(shift)
    torch.testing.assert_close(mixed, pooling(tokens).tokens, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(mixed, still, atol=1e-2)


def test_new_class_tokens_are_as_many_as_asked_for() -> None:
    pooling = AttentionPooling(256, class_tokens=4)
    pooling.reset_class_tokens(9)
    assert pooling.cls_token.shape == (1, 9, 256)
    own = pooling.cls_token - pooling.cls_token.mean(dim=1, keepdim=True)  # beside what all begin with
    assert own.std().item() == pytest.approx(0.02, rel=0.1)
    assert pooling(torch.randn(1, 256, 2, 2)).weights.shape == (1, 9, 4)


@pytest.mark.parametrize("layer_scale", [None, 1e-4])
def test_what_adds_nothing_is_left_out_of_an_answer_and_changes_no_bit_of_it(layer_scale: float | None) -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(32, layer_scale=layer_scale).eval()
    pooling.start_averaging()
    pooling.shift_query(torch.randn(32))
    tokens, called = torch.randn(2, 32, 3, 3), []
    pooling.fc1.register_forward_hook(lambda *_: called.append("fc1"))
    with torch.no_grad():
        quick, values = pooling(tokens), pooling.value(tokens)
    assert called == []
    whole = pooling(tokens)  # with gradients everything takes part
    assert called == ["fc1"]
    assert torch.equal(quick.tokens, whole.tokens)
    assert torch.equal(quick.weights, whole.weights)
    assert torch.equal(values, pooling.value(tokens))
    whole.tokens.sum().backward()
    assert pooling.gamma_2.grad is not None
    assert pooling.gamma_2.grad.any()
    with torch.no_grad():
        pooling.gamma_2[3] = 0.1
        changed = pooling(tokens)
    assert called == ["fc1", "fc1"]
    assert not torch.equal(changed.tokens, quick.tokens)


@pytest.mark.parametrize("class_tokens", [None, 3])
def test_a_pooling_of_low_rank_begins_as_the_full_one_and_learns_with_few_numbers(class_tokens: int | None) -> None:
    torch.manual_seed(0)
    full, narrow = (AttentionPooling(64, class_tokens=class_tokens, layer_scale=None, rank=rank) for rank in (None, 4))
    narrow.cls_token.data.copy_(full.cls_token.data)
    tokens = torch.randn(2, 64, 3, 3)
    torch.testing.assert_close(narrow(tokens).tokens, full(tokens).tokens)
    torch.testing.assert_close(narrow(tokens).weights, full(tokens).weights)
    matrices = sum(parameter.numel() for parameter in narrow.parameters() if parameter.ndim == 2)
    assert matrices == 10 * 64 * 4
    optimizer = torch.optim.AdamW(narrow.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        narrow(tokens).tokens.square().sum().backward()
        optimizer.step()
    assert all(getattr(narrow, name).weight.any() for name in ("k", "v", "proj", "fc2"))
    if class_tokens is None:
        still = narrow.finish(narrow.mix_shifted(tokens, torch.zeros(64)))
        torch.testing.assert_close(still, narrow(tokens).tokens, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_transposed_is_the_transpose_of_a_map_of_low_rank() -> None:
    layer = ScaledLinear(8, 8, scale=0.3, residual=True, rank=2)
    layer.draw(std=0.5)
    x, query = torch.randn(5, 8), torch.randn(2, 8)
    torch.testing.assert_close(layer(x) @ query.T, x @ layer.transposed(query).T)
    assert torch.linalg.matrix_rank(layer(torch.eye(8)) - torch.eye(8)) == 2

import torch

from pcn_cli.training.probabilities import to_probabilities


def test_probabilities_sum_to_one_or_stand_each_for_itself() -> None:
    logits = torch.tensor([[2.0, 0.0, -2.0]])
    torch.testing.assert_close(to_probabilities(logits, multi_label=False).sum(), torch.tensor(1.0).double())
    each = to_probabilities(logits, multi_label=True, temperature=2.0)
    torch.testing.assert_close(each, torch.sigmoid(logits.double() / 2))

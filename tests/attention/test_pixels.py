import numpy as np
import pytest
import torch

from pcn_cli.attention.pixels import blur_patches
from pcn_cli.records.model import PatchGrid


@pytest.mark.parametrize(("offset", "left"), [(8.0, 16), (0.5, 8)], ids=["cell centre", "stem"])
def test_only_the_pixels_nearest_to_a_hidden_patch_are_blurred(offset: float, left: int) -> None:
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    hidden = np.zeros((2, 2, 4), dtype=bool)
    hidden[0, 0, 1] = True
    shown = blur_patches(images, hidden, patch_grid=PatchGrid(stride=16, offset=offset))
    changed = (shown != images).any(dim=1)
    rows, columns = changed[0].nonzero(as_tuple=True)
    assert (columns.min(), columns.max()) == (left, left + 15)
    assert (rows.min(), rows.max()) == (0, left - 1)  # row 0 reaches to the edge
    assert not changed[1].any()
    assert shown[0, :, :left, left : left + 16].std() < 0.4 * images.std()

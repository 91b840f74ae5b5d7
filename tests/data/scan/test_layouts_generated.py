"""Folder trees and tables whose truth is known; `python tests/harness/layouts.py` tries hundreds."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SPEC = spec_from_file_location("layouts", Path(__file__).resolve().parents[2] / "harness" / "layouts.py")
assert SPEC
assert SPEC.loader
layouts = module_from_spec(SPEC)
SPEC.loader.exec_module(layouts)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_layout_is_read_as_meant_or_refused_with_the_reason(seed):
    tried = [(layout, verdict) for layout, verdict in layouts.try_layouts(60, seed)]
    assert [one for one in tried if one[1] not in ("read", "refused")] == []
    assert len({layout.kind for layout, _ in tried}) >= 20

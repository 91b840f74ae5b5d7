"""What became of a run that another began with: other photos, other labels, and the figures of the same test photos."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from the run `earlier`.

    Of the photos of both `relabelled` have another label; `added` are new and `gone` are no longer there. `photos` of
    the old classes were test photos of both and are measured with the labels of now: `before` and `after` are how many
    are right, `lost` and `gained` those that only one of the two models has right, `p_value` is of McNemar's test.
    `new_right` of `new_photos` test photos of new classes are right.
    """

    ARTIFACT: ClassVar = "change.json"
    earlier: str
    relabelled: int
    added: int
    gone: int
    new_classes: tuple[str, ...]
    dropped_classes: tuple[str, ...]
    photos: int
    before: int
    after: int
    lost: int
    gained: int
    p_value: float
    new_photos: int
    new_right: int
    sentence: str

"""What a model keeps to prove itself with: how it scored some validation photos and one made-up picture."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReplayPhoto:
    """One validation photo: its path below the photos folder, its bytes, their SHA-256, and its probabilities."""

    file: str
    bytes: int
    sha256: str
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the network said when it was saved, on the CPU in float32.

    `classes` names the columns of all scores, `weights_sha256` the file of weights, `synthetic_seed` the picture that
    can always be made again, `synthetic_scores` its probabilities.

    Raises:
        ValueError: scores and classes do not fit.
    """

    weights_sha256: str
    classes: tuple[str, ...]
    photos: tuple[ReplayPhoto, ...]
    synthetic_seed: int
    synthetic_scores: tuple[float, ...]

    def __post_init__(self) -> None:
        rows = [self.synthetic_scores, *(photo.scores for photo in self.photos)]
        if any(len(scores) != len(self.classes) for scores in rows):
            raise ValueError(f"expected {len(self.classes)} scores for each picture")

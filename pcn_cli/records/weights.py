"""What the cache remembers of a weight file that was once converted."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WeightRecord:
    """Where stored weights came from and what they must hash to.

    `source` is a url or a file's path, `source_sha256` and `source_bytes` are of the `.pth` as it arrived,
    `weights_sha256` is of the safetensors beside this record. `etag` and `modified` are the server's words, to ask
    later whether the file is still the same.
    """

    card: str  # full name; empty for a file imported without a card
    network: str  # what the tensors make up, e.g. "s60"
    num_classes: int
    source: str
    source_sha256: str
    source_bytes: int
    weights_sha256: str
    recorded: str  # ISO 8601, UTC
    etag: str = ""
    modified: str = ""

"""Tokens that earlier runs computed: of a photo that is known by its content they need not be computed again."""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn

from pcn_cli.files.cache import FileCache
from pcn_cli.tensors.network import Network

_HEADER = struct.Struct("<4s7II")  # mark, shape of the tokens, bytes of a number, width, height, checksum
_MARK = b"pct1"
_TYPES = {2: np.float16, 4: np.float32}


class KnownPhoto(NamedTuple):
    """A photo's tokens (views, h, w, C), as `TokenCache` has them, and the width and height of the upright photo."""

    tokens: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class KnownTokens:
    """Tokens by the SHA-256 of their photo's content, kept in `cache`.

    `form` says all else that they depend on: the trunk's weights, how photos are prepared, and the arithmetic.
    """

    cache: FileCache
    form: str

    def holds(self, sha256: str) -> bool:
        """Whether the photo's tokens are there, unless they turn out to be damaged."""
        return self.cache.holds(self._key(sha256))

    def read(self, sha256: str) -> KnownPhoto | None:
        """The photo's tokens, or None where there are none, or damaged ones."""
        content = self.cache.read_bytes(self._key(sha256))
        if content is None or len(content) < _HEADER.size:
            return None
        mark, *shape, item, width, height, checksum = _HEADER.unpack_from(content)
        numbers = memoryview(content)[_HEADER.size :]
        whole = mark == _MARK and item in _TYPES and len(numbers) == int(np.prod(shape)) * item
        if not whole or zlib.crc32(numbers) != checksum:
            return None
        return KnownPhoto(np.frombuffer(numbers, _TYPES[item]).reshape(shape), (width, height))

    def write(self, sha256: str, photo: KnownPhoto) -> None:
        """Keep the photo's tokens, if there is room."""
        numbers = np.ascontiguousarray(photo.tokens)
        content = numbers.tobytes()
        head = (*numbers.shape, numbers.itemsize, *photo.size)
        self.cache.write_bytes(self._key(sha256), _HEADER.pack(_MARK, *head, zlib.crc32(content)) + content)

    def _key(self, sha256: str) -> str:
        return hashlib.sha256(f"{self.form} {sha256}".encode()).hexdigest()


def hash_trunk(model: nn.Module) -> str:
    """The SHA-256 of what tokens come from, the weights and `mirror`, whatever stands behind the tokens."""
    behind, whole = cast("Network", model).pooling_prefixes, hashlib.sha256()
    if cast("Network", model).mirror:
        whole.update(b"mirror ")
    for name, tensor in model.state_dict().items():
        if not name.startswith(behind) and not name.endswith("num_batches_tracked"):  # counted, and never used
            whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()

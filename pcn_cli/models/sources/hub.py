"""A model folder on the Hugging Face Hub: `hf:user/name` or `hf:user/name@revision`; only safetensors are read of it.

What is in the cache of the hub is used as it is; otherwise it is fetched, from HF_ENDPOINT where that is set.
"""

import os
import re
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from pcn_cli.errors import DownloadError, ModelError
from pcn_cli.models.build import CONFIG, WEIGHTS
from pcn_cli.models.cached import missing_on_hub
from pcn_cli.models.download import is_offline
from pcn_cli.models.sources.base import HUB_PREFIX, Loaded, Source
from pcn_cli.models.sources.folder import FolderSource, read_config
from pcn_cli.models.weights import Fetcher
from pcn_cli.records.model import ModelConfig

# Everything that is ever fetched; the last may be missing.
FILES = (CONFIG, WEIGHTS, "learned.safetensors")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")


def is_repository(name: str) -> bool:
    """Whether a repository of the hub may be called that, with its owner."""
    return _REPOSITORY.fullmatch(name) is not None


class HubSource(Source):
    """The network of a model folder that somebody pushed."""

    def __init__(self, source: str) -> None:
        self.repository, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
        self.name, self._revision = source, revision or None
        if not is_repository(self.repository):
            raise ModelError(f"{source} names no repository of the Hugging Face Hub", "hf:user/name")

    def config(self) -> ModelConfig:
        return read_config(self._find(CONFIG, offline=False).parent)

    @property
    def parameters(self) -> int:
        return self._folder(offline=False).parameters

    @property
    def path(self) -> Path:
        """Where the folder lies in the cache of the hub."""
        return self._find(CONFIG, offline=True).parent

    def check_available(self, *, offline: bool) -> None:
        if offline or is_offline():
            for file in (CONFIG, WEIGHTS):
                self._find(file, offline=True)

    def bring(self, *, fetch: Fetcher) -> None:
        self._folder(offline=fetch.offline)

    def load(self, classes: tuple[str, ...], options: dict[str, Any], *, fetch: Fetcher) -> Loaded:
        return self._folder(offline=fetch.offline).load(classes, options, fetch=fetch)

    def _folder(self, *, offline: bool) -> FolderSource:
        """All its files in the cache."""
        for file in FILES[1:]:
            try:
                self._find(file, offline=offline)
            except ModelError:
                if file == WEIGHTS:
                    raise
        return FolderSource(self._find(CONFIG, offline=offline).parent)

    def _find(self, file: str, *, offline: bool) -> Path:
        """The file in the cache of the hub; a ModelError where the hub holds none, a DownloadError where it is away."""
        cached = huggingface_hub.try_to_load_from_cache(self.repository, file, revision=self._revision)
        if isinstance(cached, str):
            return Path(cached)
        if offline or is_offline():
            if file not in (CONFIG, WEIGHTS):
                raise ModelError(f"there is no {file} of {self.name} here")
            raise missing_on_hub(self.name)
        try:
            found = huggingface_hub.hf_hub_download(
                self.repository, file, revision=self._revision, endpoint=os.environ.get("HF_ENDPOINT")
            )
        except Exception as error:  # whatever the hub and its transports raise
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                raise ModelError(f"{self.repository} on the hub holds no {file}", "pcn models list") from error
            raise DownloadError(
                f"could not fetch {file} of {self.repository}: {error}",
                "for a private model sign in with `hf auth login`; or try again",
            ) from error
        return Path(found)

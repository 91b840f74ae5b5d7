"""A finished model on its way to the Hugging Face Hub: what would leave the machine, and that alone.

Weights, facts, the card and what is remembered as numbers go; names of photos, which replay.json has, stay.
"""

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from pcn_cli.errors import DownloadError, ModelError, RecipeError, command
from pcn_cli.models.build import CONFIG, WEIGHTS
from pcn_cli.models.download import is_offline
from pcn_cli.models.sources.folder import read_config
from pcn_cli.models.sources.hub import is_repository
from pcn_cli.recipe.arguments import checked
from pcn_cli.records.codec import to_plain
from pcn_cli.stages.inference.learned import LEARNED
from pcn_cli.stages.inference.load import model_source
from pcn_cli.stages.inference.replay import REPLAY, read_replay

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One file that would leave the machine: its name on the hub, what it is in a few words, and its bytes or place."""

    name: str
    words: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


@checked
def list_outgoing(source: str | Path | None = None) -> list[Outgoing]:
    """The files that pushing this run or model folder would send; nothing is sent.

    Raises:
        ModelError: it is no model folder, or has no card yet.
    """
    folder = Path(model_source(source))
    config = read_config(folder)
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder} has no {CARD}, which says what the model does", command("evaluate", folder.parent))
    facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    # A model that began with a file of the user's is called after it.
    facts["card"] = config.card if config.card.startswith("timm:") else re.sub(r".*[\\/]", "", config.card)
    files = [
        Outgoing(name=CONFIG, words="class names, preprocessing, calibration", content=_dump(facts)),
        Outgoing(name=CARD, words="the model card with its figures", content=folder / CARD),
        Outgoing(name=WEIGHTS, words="the weights", content=folder / WEIGHTS),
    ]
    if (folder / LEARNED).is_file():
        words = "features of training photos, as numbers, to tell foreign photos by"
        files.append(Outgoing(name=LEARNED, words=words, content=folder / LEARNED))
    if (folder / REPLAY).is_file():
        kept = replace(read_replay(folder), photos=())
        words = "scores of a made-up picture, to verify by"
        files.append(Outgoing(name=REPLAY, words=words, content=_dump(to_plain(kept))))
    return files


@checked
def push_model(source: str | Path | None, repository: str, *, public: bool = False) -> str:
    """The address on the hub, where what `list_outgoing` tells now is; a new repository is private unless `public`.

    Raises:
        RecipeError: the name is none of a repository. ModelError: as `list_outgoing`.
        DownloadError: offline, not signed in, or refused.
    """
    if not is_repository(repository):
        raise RecipeError(f"{repository} names no repository of the Hugging Face Hub", "pcn models push RUN user/name")
    files = list_outgoing(source)
    if is_offline() or os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "True"):
        raise DownloadError("offline: nothing can be pushed", "unset PCN_OFFLINE and HF_HUB_OFFLINE")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    operations = [CommitOperationAdd(one.name, one.content) for one in files]
    try:
        made = api.create_repo(repository, private=not public, exist_ok=True)
        api.create_commit(made.repo_id, operations, commit_message="A model made by pcn")
    except Exception as error:  # whatever the hub and its transports raise
        hint = "sign in with `hf auth login` or HF_TOKEN, with a token that may write; then push again"
        raise DownloadError(f"could not push to {repository}: {error}", hint) from error
    return str(made)


def _dump(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

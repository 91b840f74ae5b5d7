"""What a person can name to start from, predict with or learn from: cards, files, folders, timm backbones."""

from pathlib import Path

from pcn_cli.errors import ModelError
from pcn_cli.models.build import CONFIG
from pcn_cli.models.sources.base import HUB_PREFIX, TIMM_PREFIX, Source
from pcn_cli.models.sources.folder import FolderSource
from pcn_cli.models.sources.weights import CardSource, FileSource
from pcn_cli.models.zoo import find_card, look_up_card

EXPORTED = (".onnx", ".xml", ".pt2")


def find_source(name: str) -> Source:
    """The source of that name; a card's name comes before a file's.

    `s60` is a card, `timm:…` a backbone, `hf:user/name` a model folder on the hub; otherwise the path of a weight file,
    of a model folder or of its run. A card whose weights come inside the package is its model folder.

    Raises:
        ModelError: there is none.
    """
    if name.startswith(TIMM_PREFIX):
        from pcn_cli.models.sources.timm import parse_timm  # who names no network of timm need not wait for it

        return parse_timm(name)
    if name.startswith(HUB_PREFIX):
        from pcn_cli.models.sources.hub import HubSource

        return HubSource(name)
    path = Path(name).expanduser()
    if not look_up_card(name):
        if (path / "model" / CONFIG).is_file():
            return FolderSource(path / "model")
        if path.is_dir():
            return FolderSource(path)
        if path.is_file() and path.suffix.lower() in EXPORTED:
            raise ModelError(
                f"{name} was exported for other programs, and of pcn only predict answers with it",
                "name the run that it was exported from",
            )
        if path.is_file():
            return FileSource(path)
        if path.suffix in (".pth", ".pt", ".safetensors") or len(path.parts) > 1:
            raise ModelError(f"there is no file or folder {name}", "pcn models list")
    card = find_card(name)
    return FolderSource(card.folder) if card.folder else CardSource(card)

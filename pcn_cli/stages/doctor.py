"""Doctor: is everything there that pcn needs? It answers where torch is missing, too."""

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from pcn_cli.files.folder import PICTURE_CACHE, SCAN_CACHE, TOKEN_CACHE, cache_folder, folder_bytes
from pcn_cli.runs.rundir import RUNS


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, and whether it is as it should be."""

    name: str
    ok: bool
    found: str


def examine() -> list[Check]:
    """Every check, in display order."""
    replaced, words = _version("albumentationsx") is not None, "not installed, as it should be"
    if replaced:
        words = "installed: it replaces albumentations under another licence (AGPL); `pip uninstall albumentationsx`"
    checks = [Check(name="python", ok=sys.version_info >= (3, 11), found=sys.version.split()[0])]
    for requirement in map(Requirement, distribution("pcn-cli").requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = _version(requirement.name)
            fits = found is not None and requirement.specifier.contains(found, prereleases=True)
            needed = ",".join(sorted(map(str, requirement.specifier), reverse=True))  # the least first
            told = f"{found or 'not installed'} (needs {needed})"
            checks.append(Check(name=requirement.name, ok=fits, found=told))
    return [
        *checks,
        Check(name="albumentationsx", ok=not replaced, found=words),
        _device(),
        _free("memory", psutil.virtual_memory().available, "free"),
        _free("disk", shutil.disk_usage(Path.cwd()).free, "free here"),
        _cache(),
        _folder("scan cache", cache_folder(SCAN_CACHE)),
        _folder("photo cache", cache_folder("photos")),
        _folder("token cache", cache_folder(TOKEN_CACHE)),
        _folder("picture cache", cache_folder(PICTURE_CACHE)),
        _folder("openvino cache", cache_folder("openvino")),
        _folder("runs", RUNS),
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> Check:
    try:
        import torch

        from pcn_cli.training.device import choose_device, has_native_bf16
    except ImportError as error:
        return Check(name="device", ok=False, found=f"unknown: {error}")
    device = choose_device(None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    bf16 = "native bfloat16" if has_native_bf16(device) else "no native bfloat16"
    return Check(name="device", ok=True, found=f"{name}, {torch.get_num_threads()} threads, {bf16}")


def _free(name: str, free: int, words: str) -> Check:
    return Check(name=name, ok=free >= 2 * 2**30, found=f"{free / 2**30:.1f} GiB {words}")


def _cache() -> Check:
    try:
        from pcn_cli.models.cached import weights_cache
    except ImportError as error:
        return Check(name="weights cache", ok=False, found=f"unknown: {error}")
    return _folder("weights cache", weights_cache())


def _folder(name: str, folder: Path) -> Check:
    size = folder_bytes(folder) / 2**20 if folder.is_dir() else 0.0
    return Check(name=name, ok=True, found=f"{folder} takes {size:,.0f} MiB")

"""What a file is by its first bytes and what its name promises; nothing is decoded here."""

import re
from pathlib import PurePosixPath

HEAD_BYTES = 512


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMAGE_SUFFIXES = _words(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .bmp .dib .gif .tif .tiff .avif .avifs .heic .heif .hif .jp2 .j2k .jxl"
    " .ico .icns .cur .psd .tga .ppm .pgm .pbm .pnm .pcx .fli .flc .svg .dds .exr .hdr .qoi"
)
# Camera originals usually lie beside the JPEG of the same shot: they are passed over, not counted as broken photos.
RAW_SUFFIXES = _words(".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .orf .rw2 .raf .pef .srw .x3f .3fr .iiq")

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_OTHER_STARTS = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"icns", "an icon (ICNS)"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a Git LFS pointer, the picture itself was not fetched (git lfs pull)"),
)

_SURE_KINDS = ("JPEG", "PNG", "WEBP", "GIF")  # whose signatures hardly stand in a file by chance


def tell_format(head: bytes) -> str | None:
    """Pillow's name of the format whose signature `head` starts with; None when it is none that we read."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"):
        return "TIFF"
    if _file_brands(head) & _AVIF_BRANDS:
        return "AVIF"
    return "BMP" if head[:2] == b"BM" and len(head) >= 26 else None


def name_content(head: bytes) -> str:
    """What a file that is no readable image seems to be, as words that follow "this is"."""
    if not head:
        return "an empty file (0 bytes)"
    if _file_brands(head) & _HEIF_BRANDS:
        return "an HEIC/HEIF picture, which is not supported: convert it to JPEG"
    for start, words in _OTHER_STARTS:
        if head.startswith(start):
            return words
    if not head.strip(b"\0"):
        return "a file of zeros (the disk or a transfer lost its content)"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<(!doctype html|html|head|body|!--)", text):
        return "a web page (HTML), not an image"
    if text.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML file, not a photo"
    for before in range(1, len(head)):
        if (kind := tell_format(head[before:])) in _SURE_KINDS:
            return f"a {kind} with {before} other bytes before it: save it again with a program that shows it"
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return "text, not an image" if printable > 0.97 * len(head) else "not an image in a format that is supported"


def promises_image(name: str) -> bool:
    """Whether the file's name ends like an image's, supported or not."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def is_camera_raw(name: str) -> bool:
    """Whether the file's name ends like a camera original's."""
    return PurePosixPath(name).suffix.lower() in RAW_SUFFIXES


def _file_brands(head: bytes) -> set[bytes]:
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}

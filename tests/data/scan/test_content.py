import pytest

from pcn_cli.data.scan.content import name_content, promises_image, tell_format


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0" + b"\0" * 30, "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"GIF89a", "GIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0avif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", None),
        (b"BM" + b"\0" * 30, "BMP"),
        (b"BMW is a maker of cars", None),
        (b"", None),
    ],
)
def test_format_is_told_by_content(head, kind):
    assert tell_format(head) == kind


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "empty file"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%PDF-1.4", "PDF"),
        (b"\0" * 512, "zeros"),
        (b"hello, this is a note", "text"),
        (b"\xef\xbb\xbf\xff\xd8\xff\xe0", "a JPEG with 3 other bytes before it"),
        (b"\xef\xbb\xbf\x89PNG\r\n\x1a\n", "a PNG with 3 other bytes before it"),
        (b"\r\nGIF89a\x01\x02", "a GIF with 2 other bytes before it"),
        (b"\0" * 9 + b"RIFF\x10\0\0\0WEBPVP8 ", "a WEBP with 9 other bytes before it"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff\xe1", "a JPEG with 19 other bytes before it"),
        (bytes(range(128, 256)), "not an image"),
    ],
)
def test_other_content_is_named_in_plain_words(head, words):
    assert words in name_content(head)


def test_image_names_are_told_whatever_their_case():
    assert promises_image("a/b/X.JPG")
    assert promises_image("x.heic")
    assert not promises_image("notes.txt")
    assert not promises_image("no_extension")

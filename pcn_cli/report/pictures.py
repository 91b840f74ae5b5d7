"""Pictures as WebP: made anew from pixels, so that nothing of the file's metadata travels along."""

from io import BytesIO

from PIL import Image


def as_webp(picture: Image.Image, *, longest: int, quality: int = 80) -> tuple[bytes, tuple[int, int]]:
    """The picture with its longer side at most `longest`, never enlarged, as (WebP file, (width, height)).

    Args:
        picture: upright; any mode.
        longest: in pixels.
        quality: of the WebP encoder, 0 … 100.
    """
    scale = min(1.0, longest / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    pixels = picture.convert("RGB")
    if scale < 1:
        pixels = pixels.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # A new picture holds pixels only: no EXIF (which may say where it was taken), no profile, no comment.
    bare = Image.new("RGB", (width, height))
    bare.paste(pixels)
    file = BytesIO()
    bare.save(file, "WEBP", quality=quality, method=4)
    return file.getvalue(), (width, height)

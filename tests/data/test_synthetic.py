import hashlib

from pcn_cli.data.synthetic import make_synthetic_picture


def test_a_seed_gives_the_very_same_pixels_for_ever() -> None:
    picture = make_synthetic_picture(0)
    assert (picture.mode, picture.size) == ("RGB", (320, 224))
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "d7a0dca9803b1f07"
    assert make_synthetic_picture(1).tobytes() != picture.tobytes()

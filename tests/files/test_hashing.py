from pathlib import Path

from pcn_cli.files.hashing import sha256_of


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_one_flipped_bit_changes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(5000))
    (tmp_path / "b").write_bytes(bytes(4999) + b"\x01")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")

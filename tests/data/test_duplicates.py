from pcn_cli.data.duplicates import find_duplicates
from pcn_cli.records.photos import Photo


def test_equal_bytes_are_found_in_order():
    photos = [Photo(file=str(n), label="x", width=1, height=1, sha256=sha) for n, sha in enumerate("abacba")]
    groups = find_duplicates(photos)
    assert [[photo.file for photo in group] for group in groups] == [["0", "2", "5"], ["1", "4"]]


def test_different_photos_are_no_duplicates():
    assert find_duplicates([]) == ()

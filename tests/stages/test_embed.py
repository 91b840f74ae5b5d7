import json

import numpy as np
import pytest
from pyarrow import parquet

from pcn_cli.errors import DataError, RecipeError, ResourceError
from pcn_cli.files.atomic import sha256_of
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.embed import embed


def test_photos_become_numbers_with_their_hashes(photo_folder, tmp_path):
    (photo_folder / "red" / "broken.jpg").write_bytes(b"no photo")
    target = tmp_path / "e.npz"
    given = embed([photo_folder / "red", photo_folder / "blue" / "00.jpg"], model="nano", output=target)
    with np.load(target, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    assert found.keys() == {"files", "sha256", "features", "predicted", "confidence", "classes"}
    assert set(found["predicted"]) <= set(found["classes"])
    assert found["features"].shape == (13, 192)
    assert found["features"].dtype == np.float32
    assert np.array_equal(found["features"], given["features"])
    assert [sha256_of(photo_folder.__class__(file)) for file in found["files"]] == found["sha256"].tolist()
    one = tmp_path / "one.parquet"
    again = embed(photo_folder / "blue" / "00.jpg", model="nano", output=one)
    assert np.allclose(again["features"][0], found["features"][-1], atol=1e-4)
    table = parquet.read_table(one)
    (row,) = table.to_pylist()
    assert row.keys() == {"files", "sha256", "features", "predicted", "confidence"}
    assert row["features"] == again["features"][0].tolist()
    assert (row["files"], row["sha256"]) == (found["files"][-1], found["sha256"][-1])
    assert json.loads(table.schema.metadata[b"classes"]) == found["classes"].tolist()


@pytest.mark.parametrize("place", ["letter/e.npz", "letter/deep/e.npz", "n" * 300 + "/e.npz"])
def test_a_place_that_cannot_be_is_told_before_the_model_is_read(photo_folder, tmp_path, monkeypatch, place):
    """Seen: it was told after all photos had gone through the network."""
    (tmp_path / "letter").touch()
    monkeypatch.setattr("pcn_cli.stages.embed.open_model", lambda *_, **__: pytest.fail("read the model"))
    with pytest.raises(ResourceError) as caught:
        embed(photo_folder, model="nano", output=tmp_path / place)
    assert "--output" in caught.value.hint or "disk" in caught.value.hint


def test_without_the_library_a_parquet_names_its_extra(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ResourceError, match="needs pyarrow") as caught:
        embed(photo_folder, model="nano", output=tmp_path / "e.parquet")
    assert caught.value.hint == "pip install 'pcn-cli[parquet]'"


def test_what_cannot_be_done_is_refused(photo_folder, tmp_path):
    with pytest.raises(RecipeError, match=r"written as .npz or .parquet"):
        embed(photo_folder, model="nano", output=tmp_path / "e.csv")
    with pytest.raises(ResourceError, match="never written to"):
        embed(photo_folder, model="nano", output=photo_folder / "e.npz")
    with pytest.raises(ResourceError, match="never written to"):
        embed(photo_folder / "red" / "00.jpg", model="nano", output=photo_folder / "red" / "e.npz")
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match="could be read"):
        embed(tmp_path / "bad.jpg", model="nano", output=tmp_path / "made" / "e.npz")
    assert not list(tmp_path.rglob("*.npz"))


def test_a_truncated_photo_counts_where_that_is_asked_for(photo_folder, tmp_path):
    path, notes, callback = photo_folder / "red" / "00.jpg", [], Callback()
    content = path.read_bytes()
    path.write_bytes(content[: int(0.9 * len(content))])
    callback.on_note = notes.append
    two = [path, photo_folder / "red" / "01.jpg"]
    assert len(embed(two, model="nano", output=tmp_path / "e.npz", callback=callback)["files"]) == 1
    found = embed(two, model="nano", output=tmp_path / "e.npz", load_truncated=True, callback=callback)
    assert len(found["files"]) == 2
    assert "could not be read" in notes[0]
    assert notes[1].startswith(f"1 truncated photo is used: {path} (")

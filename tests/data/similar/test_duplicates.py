import base64
import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from pcn_cli.data.load.open_image import OpenedPhoto
from pcn_cli.data.scan.decode import SKETCH_SIDE, draw_sketch
from pcn_cli.data.scan.scan_photos import scan_photos
from pcn_cli.data.similar import duplicates
from pcn_cli.data.similar.duplicates import ALIKE_FROM, find_near_duplicates, group_near
from pcn_cli.data.similar.leaks import find_ties, tied_files
from pcn_cli.data.split import split_scan
from pcn_cli.records.codec import from_plain, to_plain
from pcn_cli.records.photos import Photo, Scan


def sketch(picture):
    return draw_sketch(OpenedPhoto.whole(picture))


def near_duplicates_of(pictures):
    """What is found among (sha256, picture) pairs whose files are numbered."""
    photos = [Photo(file=f"{n:03}", label="x", width=1, height=1, sha256=sha) for n, (sha, _) in enumerate(pictures)]
    texts = {f"{n:03}": base64.b64encode(sketch(picture)).decode() for n, (_, picture) in enumerate(pictures)}
    return find_near_duplicates(photos, texts)


def test_a_set_holds_the_exact_copies_too(draw_scene):
    others = [(f"other{seed}", draw_scene(seed)) for seed in range(1, 10)]
    scene = draw_scene(0)
    assert near_duplicates_of([("a", scene), ("b", scene.resize((90, 70))), *others, ("a", scene)]) == (
        (("000", "001", "011"),),
        0,
    )
    assert near_duplicates_of([("a", scene), ("a", scene), *others]) == ((), 0)


def shoot(scene, number):
    """One shot of a burst: a little brighter or darker, with noise of its own."""
    rng = np.random.default_rng(number)
    pixels = np.asarray(scene, float) * rng.uniform(0.96, 1.04) + rng.normal(0, 6, (*scene.size[::-1], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["burst", "resized", "cut"])
def test_a_burst_above_a_quarter_of_the_set_stays_together_too(draw_scene, share, kind):
    """A set of copies above a quarter of all photos was divided like any other, and so leaked into the test."""
    scene, shots = draw_scene(0), ALIKE_FROM + 10
    make = {
        "burst": lambda n: shoot(scene, n),
        "resized": lambda n: scene.resize((80 + n, 60 + n)),
        "cut": lambda n: scene.crop((n % 5, n % 4, 160 - n % 3, 120 - n % 4)),
    }[kind]
    others = [(f"other{seed}", draw_scene(seed)) for seed in range(1, 1 + round(shots / share) - shots)]
    sets, alone = near_duplicates_of([*((f"shot{n}", make(n)) for n in range(shots)), *others])
    assert (sets, alone) == ((tuple(f"{n:03}" for n in range(shots)),), 0)


def test_what_looks_alike_without_being_equal_is_counted(draw_scene):
    backdrop, rng, pictures = draw_scene(1), np.random.default_rng(0), []
    for number in range(60):
        picture = backdrop.copy()
        left, top = rng.uniform(0, 125), rng.uniform(0, 90)
        ImageDraw.Draw(picture).ellipse((left, top, left + 18, top + 16), fill=tuple(map(int, rng.integers(0, 256, 3))))
        pictures.append((f"object{number}", picture))
    sets, alone = near_duplicates_of([*pictures, *((f"other{seed}", draw_scene(seed)) for seed in range(2, 42))])
    assert alone >= 10
    assert alone + sum(map(len, sets)) <= 60


PHOTOS, COPIES = 150, 30


def make_near(scene, number, rng):
    """A copy of a picture that is resized, cut, brightened, or encoded badly, with the JPEG quality to save it in."""
    width, height = scene.size
    if number % 4 == 0:
        scale = rng.uniform(0.4, 0.8)
        return scene.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC), 85
    if number % 4 == 1:
        share = rng.uniform(0.92, 0.97)
        left, top = rng.uniform(0, 1 - share, 2) * scene.size
        return scene.crop(tuple(map(round, (left, top, left + share * width, top + share * height)))), 90
    if number % 4 == 2:
        return ImageEnhance.Brightness(scene).enhance(rng.uniform(1.1, 1.3)), 90
    return scene, 40


@pytest.fixture
def planted(tmp_path, draw_scene):
    """A folder of 150 pictures with 30 exact and 30 near copies of some of them, and the pairs of each kind."""
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    exact, near = set(), set()
    for number in range(PHOTOS):
        path = folder / "abc"[number % 3] / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_scene(number).save(path, quality=92)
        copy = path.with_name(f"copy_{number:03}.jpg")
        pair = (f"{path.parent.name}/{path.name}", f"{path.parent.name}/{copy.name}")
        if number < COPIES:
            shutil.copy(path, copy)
            exact.add(pair)
        elif number < 2 * COPIES:
            picture, quality = make_near(Image.open(path), number, rng)
            picture.save(copy, quality=quality)
            near.add(pair)
    return folder, exact, near


def test_planted_copies_are_found_and_never_cross_the_split(planted):
    folder, exact, near = planted
    scan = scan_photos(folder)
    assert {files for kind, files in tied_files(scan.photos, ()) if kind == "exact"} == exact
    found = {pair for pair in near if any(set(pair) <= set(group) for group in scan.near_duplicates)}
    assert len(found) >= 0.9 * len(near)
    assert set(scan.near_duplicates) <= near  # nothing else is taken for a copy
    assert scan.alike == 0
    assert from_plain(Scan, json.loads(json.dumps(to_plain(scan)))) == scan
    for seed in range(5):
        rows = split_scan(scan, seed=seed, val=0.2, test=0.2)
        assert find_ties(rows, scan.near_duplicates, differ="split") == ()
        parts = {row.file: row.split for row in rows}
        assert all(parts[one] == parts[other] for one, other in exact | found)
        assert set(parts.values()) == {"train", "val", "test"}


def sketches_of(pictures):
    return np.stack(
        [np.frombuffer(sketch(picture), np.uint8).reshape(SKETCH_SIDE, SKETCH_SIDE, 3) for picture in pictures]
    )


def groups_above_one(pictures):
    _, counts = np.unique(group_near(sketches_of(pictures)), return_counts=True)
    return int((counts > 1).sum())


def test_flat_pictures_are_no_copies_of_each_other(draw_scene):
    flat = [Image.new("RGB", (40, 40), (grey, grey, grey)) for grey in range(0, 256, 25)]
    assert groups_above_one([*flat, *map(draw_scene, range(20))]) == 0


def test_the_same_shapes_in_other_colours_are_other_pictures(draw_scene):
    scenes = [draw_scene(seed) for seed in range(20)]
    recoloured = [Image.merge("RGB", scene.split()[::-1]) for scene in scenes]
    assert groups_above_one([*scenes, *recoloured]) == 0


def test_a_common_backdrop_makes_no_copies(draw_scene):
    backdrop, rng, pictures = draw_scene(1), np.random.default_rng(2), []
    for _ in range(60):
        picture = backdrop.copy()
        left, top = rng.uniform(0, 110), rng.uniform(0, 80)
        ImageDraw.Draw(picture).ellipse((left, top, left + 40, top + 30), fill=tuple(map(int, rng.integers(0, 256, 3))))
        pictures.append(picture)
    assert groups_above_one(pictures) <= 3  # an object in the same place and nearly the same colour
    groups = group_near(sketches_of([*pictures, pictures[0].resize((80, 60))]))
    assert groups[0] == groups[-1]


def test_chains_are_one_group_and_nothing_is_too_little(draw_scene):
    wide = draw_scene(5, width=400, height=300)
    chain = [wide.crop((0, 0, 400 - 16 * step, 300 - 12 * step)) for step in range(4)]
    groups = group_near(sketches_of([*chain, *map(draw_scene, range(100, 120))]))
    assert len(set(groups[:4].tolist())) == 1
    assert len(set(groups.tolist())) == 21
    assert group_near(np.zeros((0, SKETCH_SIDE, SKETCH_SIDE, 3), np.uint8)).tolist() == []
    assert group_near(np.zeros((1, SKETCH_SIDE, SKETCH_SIDE, 3), np.uint8)).tolist() == [0]


def test_of_many_pictures_few_pairs_are_looked_at_and_the_copies_found(monkeypatch):
    monkeypatch.setattr(duplicates, "_LEAF", 30)
    monkeypatch.setattr(duplicates, "_TREES", 8)
    find_pairs, looked_at = duplicates._pairs_of_few_bits, []

    def count_pairs(hashes):
        looked_at.append(len(hashes) * (len(hashes) - 1) // 2)
        return find_pairs(hashes)

    monkeypatch.setattr(duplicates, "_pairs_of_few_bits", count_pairs)
    patches = np.random.default_rng(0).integers(0, 200, (800, 4, 4, 3), np.uint8)
    pictures = patches.repeat(SKETCH_SIDE // 4, axis=1).repeat(SKETCH_SIDE // 4, axis=2)
    heard = []
    groups = group_near(np.concatenate([pictures, pictures[:50] + 20]), on_compared=lambda *told: heard.append(told))
    assert groups[:50].tolist() == groups[800:].tolist()
    assert len(set(groups.tolist())) == 800
    assert heard[-1] == (850, 850)
    assert sum(looked_at) < 850 * 30 / 2 * 8 < 850 * 849 / 3


def test_progress_reaches_the_end(draw_scene):
    heard = []
    group_near(sketches_of([draw_scene(seed) for seed in range(4)]), on_compared=lambda *told: heard.append(told))
    assert heard == [(4, 4)]


def test_real_photos_hold_these_near_duplicates_and_no_others(shared):
    # Judged by eye: a rose toned grey, sunflowers coloured stronger, and two views of a monument a step apart.
    folder = shared / "data" / "flowers5"
    assert scan_photos(folder).near_duplicates == (
        ("roses/4608559939_3487bf3b62_n.jpg", "roses/4609168052_3d4e1d3804_n.jpg"),
        ("sunflowers/17433282043_441b0a07f4_n.jpg", "sunflowers/22429946721_e17a12cb39_n.jpg"),
        ("tulips/17199496791_3caaf5e278_m.jpg", "tulips/17199499591_67b64b21ed_m.jpg"),
    )

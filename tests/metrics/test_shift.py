import numpy as np

from pcn_cli.metrics.shift import compare_photos, find_class_shifts, find_differing


def cloud(count, *, seed, moved=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (count, 16)) + np.eye(16)[rng.integers(0, 3, count)] * 4 + moved).astype("f4")


def test_halves_of_one_set_are_alike():
    alarms = [compare_photos(cloud(60, seed=n), cloud(50, seed=100 + n), seed=n)[0] < 0.01 for n in range(40)]
    assert sum(alarms) <= 2


def test_what_moved_is_found_and_the_photos_that_moved_show_it():
    reference, same = cloud(100, seed=0), cloud(80, seed=1)
    mixed = np.concatenate([same, cloud(40, seed=2, moved=1.0)])
    p_value, speaks = compare_photos(reference, mixed, seed=0)
    assert p_value < 0.01
    assert speaks.shape == (120,)
    assert (np.argsort(-speaks)[:12] >= 80).sum() >= 10
    assert compare_photos(reference, mixed, seed=0)[0] == p_value


def test_of_many_photos_some_are_drawn():
    p_values = [compare_photos(cloud(900, seed=n), cloud(700, seed=n + 1), seed=n)[0] for n in (10, 20, 30)]
    assert sum(p_value < 0.01 for p_value in p_values) <= 1


def test_only_facts_that_differ_are_named_the_most_different_first():
    rng = np.random.default_rng(0)
    before = {"brightness": rng.normal(0.5, 0.1, 80), "contrast": rng.normal(0.2, 0.05, 80), "shape": np.ones(80)}
    now = {"brightness": rng.normal(0.3, 0.1, 80), "contrast": rng.normal(0.2, 0.05, 80), "shape": np.ones(80)}
    assert [one.name for one in find_differing(before, now)] == ["brightness"]
    assert find_differing({"brightness": []}, {"brightness": [1.0]}) == ()


def test_classes_that_are_answered_more_often_are_named():
    before, now = ["a", "b", "c"] * 30, ["a"] * 60 + ["b", "c"] * 15
    shifts = find_class_shifts(before, now, ("a", "b", "c"))
    assert shifts[0].name == "a"
    assert (round(shifts[0].before, 2), round(shifts[0].now, 2)) == (0.33, 0.67)
    assert find_class_shifts(before, before, ("a", "b", "c")) == ()

import pytest

from pcn_cli.data.scan.part_names import read_parts, speaks_of_part


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in ("train", "Training", "TRAIN", "train ", "seg_train", "train2017")),
        *((name, "train") for name in ("Training Set", "trainset")),
        *((name, "val") for name in ("valid", "Validation", "dev", "val_images", "imagesVal", "valset")),
        *((name, "train") for name in ("Trainingsdaten", "Entraînement", "ENTRENAMIENTO_1", "训练集", "学習データ")),
        *((name, "val") for name in ("Validierung", "validación", "validacao", "验证集", "валидация")),
        *((name, "test") for name in ("Testbilder", "prueba", "teste", "тест", "테스트", "test图片")),
        *((name, "test") for name in ("testing", "Test-Set", "holdout", "hold-out", "PublicTest", "test1", "ｔｅｓｔ")),
    ],
)  # fmt: skip
def test_what_people_call_a_part_is_known(name, part):
    """`training` and `testing`, `train ` with a space and seg_train became classes, and nobody was told."""
    assert read_parts([name]) == {name: part}


@pytest.mark.parametrize(
    "name",
    ["strain", "contest", "small train", "train station", "cat", "", "1", "trains", "protest", "集", "Teststreifen"],
)
def test_other_names_are_none(name):
    assert read_parts([name]) == {}


def test_eval_is_the_test_unless_there_is_one():
    assert read_parts(["train", "eval"]) == {"train": "train", "eval": "test"}
    assert read_parts(["train", "evaluation", "testing"])["evaluation"] == "val"
    assert read_parts(["training", "validation", "evaluation"])["evaluation"] == "test"


@pytest.mark.parametrize(
    "name", ["trainA", "train_b", "Test-X", "my dev photos", "TRAINING_2", "训练A", "treino de gatos"]
)
def test_a_word_for_a_part_is_seen_beside_others(name):
    assert speaks_of_part(name)


@pytest.mark.parametrize("name", ["strain", "contest", "retrained", "cat"])
def test_parts_inside_words_are_not_meant(name):
    assert not speaks_of_part(name)


def test_a_name_that_can_be_taken_apart_in_countless_ways_is_no_part():
    """Each `dataset` may be one word or two: of forty that is a million million ways to try."""
    assert read_parts(["dataset" * 40 + "x", "dataset" * 40 + "train"]) == {}
    assert read_parts(["dataset" * 8 + "train"])

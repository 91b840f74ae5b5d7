from dataclasses import replace

import pytest

from pcn_cli.errors import RecipeError
from pcn_cli.recipe.choose import Facts, _largest_divisor, choose, choose_split, choose_workers
from pcn_cli.recipe.load import load_recipe
from pcn_cli.recipe.recipe_yaml import dump_recipe
from pcn_cli.recipe.schema import OPTIONS, Recipe

GPU = Facts(train_photos=1000, classes=7, device="cuda", native_bf16=True, cores=16, memory_gb=16)
CPU = Facts(train_photos=1000, classes=7, cores=2)
LEGITIMATELY_OPEN = {
    "data.labels",
    "data.file_column",
    "data.crop_boxes",
    "evaluate.masks",
    "data.crop_confidence",
    "data.crop_category",
    "data.label_column",
    "data.decisions",
    "data.label_from",
    "evaluate.boxes",
    "evaluate.folds",
    "evaluate.precision",
    "evaluate.engine",
    "evaluate.target_accuracy",
    "report.title",
    "train.log",
    "train.teacher",
    "train.teacher_size",
    "train.time",
    "split.val",
    "split.test",
    "split.group_by",
    "split.split_from",
}
TUNING_ONLY = {"train.epochs", "train.lr", "train.micro_batch", "train.patience", "train.precision"}


def chosen(facts: Facts, *settings: str) -> Recipe:
    return choose(load_recipe(None, settings=settings), facts)[0]


def problems_of(facts: Facts, *settings: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        choose(load_recipe(None, settings=settings), facts)
    return caught.value.message.splitlines()


def test_what_is_never_chosen_is_what_may_stay_open() -> None:
    never_chosen = {key for key, option in OPTIONS.items() if option.chosen == "never"}
    assert never_chosen | {"split.val", "split.test"} == LEGITIMATELY_OPEN  # these two are chosen with the split


def test_tuning_leaves_nothing_open_and_gives_a_reason_for_each_choice() -> None:
    recipe, reasons = choose(load_recipe(None), GPU)
    still_open = {key for key in OPTIONS if recipe.value(key) is None}
    assert still_open == LEGITIMATELY_OPEN
    was_open = {key for key in OPTIONS if Recipe().value(key) is None}
    assert set(reasons) == was_open - LEGITIMATELY_OPEN
    assert all(reason and "\n" not in reason for reason in reasons.values())


def test_a_probe_leaves_open_what_only_tuning_uses() -> None:
    recipe, reasons = choose(load_recipe(None), CPU)
    assert {key for key in OPTIONS if recipe.value(key) is None} == LEGITIMATELY_OPEN | TUNING_ONLY
    assert all(reasons[key].startswith("not used") for key in TUNING_ONLY)
    assert (recipe.augment.level, recipe.train.mixup, recipe.train.cutmix) == ("none", 0.0, 0.0)


def test_without_an_accelerator_the_probe_is_the_default_and_says_why() -> None:
    recipe, reasons = choose(load_recipe(None), CPU)
    assert recipe.train.tune == "probe"
    assert reasons["train.tune"] == "no accelerator: the probe is about 75 times sooner; --tune all tunes everything"


@pytest.mark.parametrize(
    ("photos", "tune", "epochs", "lr", "level", "mixup"),
    [
        (5, "pooling", 60, 1e-3, "light", 0.0),
        (199, "pooling", 60, 1e-3, "light", 0.0),
        (200, "all", 40, 1e-3, "light", 0.0),
        (1_999, "all", 40, 1e-3, "light", 0.0),
        (2_000, "all", 20, 3e-4, "medium", 0.0),
        (20_000, "all", 12, 5e-4, "strong", 0.1),
        (100_000, "all", 10, 5e-4, "strong", 0.1),
    ],
)
def test_the_plan_follows_the_number_of_photos(photos, tune, epochs, lr, level, mixup) -> None:
    recipe = chosen(replace(GPU, train_photos=photos))
    found = (recipe.train.tune, recipe.train.epochs, recipe.train.lr, recipe.augment.level, recipe.train.mixup)
    assert found == (tune, epochs, lr, level, mixup)


def test_the_users_values_always_stand() -> None:
    settings = [
        "train.tune=all",
        "train.epochs=3",
        "train.lr=0.1",
        "train.batch_size=6",
        "train.workers=5",
        "data.size=96",
    ]
    loaded = load_recipe(None, settings=[*settings, "train.device=cpu", "augment.level=strong", "train.mixup=0.7"])
    recipe, reasons = choose(loaded, CPU)
    for key in loaded.origins:
        assert recipe.value(key) == loaded.recipe.value(key), key
        assert key not in reasons, key


@pytest.mark.parametrize(
    "setting",
    [
        "train.epochs=3",
        "train.lr=1e-3",
        "train.patience=3",
        "train.grad_checkpointing=true",
        "train.trunk_ratio=0.1",
        "train.micro_batch=4",
        "train.mixup=0.2",
        "train.cutmix=1",
        "train.precision=float32",
        "train.time=20m",
        "model.drop_path=0.1",
        "augment.level=light",
    ],
)
def test_a_value_that_a_probe_would_not_notice_is_refused(setting: str) -> None:
    assert problems_of(GPU, "train.tune=probe", setting) == [
        f"--set {setting}: has no effect with train.tune=probe; add --tune all, or leave it out"
    ]


@pytest.mark.parametrize(
    "setting", ["train.mixup=0", "augment.level=none", "train.grad_checkpointing=false", "model.dropout=0.1"]
)
def test_a_value_that_agrees_with_the_probe_is_welcome(setting: str) -> None:
    assert chosen(GPU, "train.tune=probe", setting).train.tune == "probe"


@pytest.mark.parametrize("facts", [GPU, CPU])
def test_class_tokens_learn_from_two_photos_in_one_unless_the_user_says_otherwise(facts: Facts) -> None:
    recipe, reasons = choose(load_recipe(None, settings=["model.pooling=per-class"]), facts)
    assert recipe.train.cutmix == 1.0
    assert reasons["train.cutmix"] == "two photos in one teach each class token to look at its own class"
    for value in (0.0, 0.5):
        assert chosen(facts, "model.pooling=per-class", f"train.cutmix={value}").train.cutmix == value
    assert chosen(facts).model.pooling == "single"
    assert chosen(facts).train.cutmix == 0.0


def test_the_pooling_is_the_models_own_where_nobody_asked() -> None:
    recipe, reasons = choose(load_recipe(None), replace(CPU, pooling="per-class"))
    assert (recipe.model.pooling, reasons["model.pooling"]) == ("per-class", "the model's own")


def test_class_tokens_are_for_a_few_hundred_classes() -> None:
    assert chosen(replace(CPU, classes=300), "model.pooling=per-class").model.pooling == "per-class"
    assert problems_of(replace(CPU, classes=1301), "model.pooling=per-class") == [
        "--set model.pooling=per-class: per-class is for at most 300 classes, found 1,301"
    ]
    assert problems_of(replace(CPU, pooling="per-class"), "model.pooling=single") == [
        "--set model.pooling=single: the model has a token per class, which cannot become a single one"
    ]


def test_a_value_for_tuning_is_refused_where_the_probe_was_chosen_by_itself() -> None:
    assert problems_of(CPU, "train.epochs=3") == [
        "--set train.epochs=3: has no effect with train.tune=probe; add --tune all, or leave it out"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.fit=pad", "data.crop_pct=0.9"], "--set data.crop_pct=0.9: has no effect with data.fit=pad"),
        (["evaluate.top_k=7"], "--set evaluate.top_k=7: has no effect with 7 classes"),
        (
            ["augment.level=none", "train.probe_epochs=0", "augment.flip=false"],
            "--set augment.flip=false: has no effect with augment.level=none and without a probe",
        ),
        (
            ["train.probe_epochs=0", "evaluate.folds=5"],
            "--set evaluate.folds=5: has no effect without a probe; leave out train.probe_epochs=0",
        ),
        (
            ["train.probe_epochs=0", "evaluate.learning_curve=true"],
            "--set evaluate.learning_curve=true: has no effect without a probe; leave out train.probe_epochs=0",
        ),
        (
            ["train.batch_size=10", "train.micro_batch=4"],
            "--set train.micro_batch=4: should divide train.batch_size (10)",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(settings: list[str], message: str) -> None:
    assert problems_of(GPU, *settings) == [message]


def test_all_problems_are_told_at_once_in_the_order_of_the_recipe() -> None:
    found = problems_of(CPU, "augment.level=light", "train.epochs=3", "evaluate.top_k=50")
    assert [line.split("=")[0] for line in found] == [
        "--set train.epochs",
        "--set augment.level",
        "--set evaluate.top_k",
    ]


def test_the_crop_share_stays_open_where_nothing_is_cropped() -> None:
    recipe, reasons = choose(load_recipe(None, settings=["data.fit=squash"]), GPU)
    assert recipe.data.crop_pct is None
    assert "data.crop_pct" not in reasons


def test_a_time_limit_without_an_accelerator_is_spent_on_tuning() -> None:
    assert chosen(CPU, "train.time=20m").train.tune == "all"


def test_a_time_limit_shortens_the_schedule_to_what_fits() -> None:
    facts = replace(CPU, seconds_per_photo=0.1)
    recipe, reasons = choose(load_recipe(None, settings=["train.time=20m"]), facts)
    assert recipe.train.epochs == 10  # 0.85 · 1200 s / (1000 · 0.1 s)
    assert reasons["train.epochs"] == "what fits in 20m at 0.1 s per photo"
    assert chosen(facts, "train.time=10h").train.epochs == 40
    assert chosen(facts, "train.time=1s").train.epochs == 1


@pytest.mark.parametrize(("photos", "batch_size"), [(3, 8), (64, 8), (128, 16), (500, 32), (512, 64), (10_000, 64)])
def test_the_batch_leaves_eight_steps_to_an_epoch(photos: int, batch_size: int) -> None:
    assert chosen(replace(GPU, train_photos=photos)).train.batch_size == batch_size


def test_a_batch_fits_around_the_micro_batch_that_was_asked_for() -> None:
    recipe = chosen(GPU, "train.micro_batch=24")
    assert (recipe.train.batch_size, recipe.train.micro_batch) == (72, 24)


@pytest.mark.parametrize(
    ("memory_gb", "settings", "micro_batch"),
    [
        (16, [], 64),
        (4, [], 32),
        (0.5, [], 4),
        (0.01, [], 1),
        (0.5, ["train.grad_checkpointing=true"], 64),
        (4, ["data.size=448"], 8),
    ],
)
def test_the_micro_batch_fits_into_memory(memory_gb: float, settings: list[str], micro_batch: int) -> None:
    recipe, reasons = choose(load_recipe(None, settings=settings), replace(GPU, device="mps", memory_gb=memory_gb))
    assert recipe.train.micro_batch == micro_batch
    assert f"of {memory_gb:.1f} GB" in reasons["train.micro_batch"]


def test_on_a_card_the_whole_batch_is_tried() -> None:
    recipe, reasons = choose(load_recipe(None), replace(GPU, memory_gb=0.5))
    assert recipe.train.micro_batch == recipe.train.batch_size == 64
    assert "halved where its memory runs out" in reasons["train.micro_batch"]
    assert chosen(GPU, "train.micro_batch=16").train.micro_batch == 16


def test_uneven_classes_are_watched_by_macro_f1() -> None:
    assert chosen(replace(GPU, imbalance=2.9)).train.monitor == "log_loss"
    assert chosen(replace(GPU, imbalance=3.0)).train.monitor == "macro_f1"


def test_rare_classes_weigh_more_where_classes_are_uneven() -> None:
    recipe, reasons = choose(load_recipe(None), replace(CPU, imbalance=3.0))
    assert recipe.train.balance == "loss"
    assert reasons["train.balance"] == "the largest class has 3.0 times the photos of the smallest"
    recipe, reasons = choose(load_recipe(None, settings=["train.balance=auto"]), replace(CPU, imbalance=2.9))
    assert recipe.train.balance == "none"
    assert reasons["train.balance"] == "the largest class has 2.9 times the photos of the smallest, less than 3"
    for way in ("none", "loss", "sampler"):
        assert chosen(replace(CPU, imbalance=9.0), f"train.balance={way}").train.balance == way


def test_bfloat16_is_used_where_it_is_native() -> None:
    assert chosen(GPU).train.precision == "bfloat16"
    assert chosen(replace(GPU, native_bf16=False)).train.precision == "float32"


def test_cards_without_bfloat16_compute_in_float16_and_say_that_the_loss_is_scaled() -> None:
    recipe, reasons = choose(load_recipe(None), replace(GPU, native_bf16=False, native_fp16=True))
    assert recipe.train.precision == "float16"
    assert reasons["train.precision"] == "this card has no native bfloat16; the loss is scaled"


@pytest.mark.parametrize(
    ("facts", "workers"), [(GPU, 15), (CPU, 0), (replace(CPU, cores=16), 4), (replace(GPU, cores=1), 1)]
)
def test_workers_leave_the_network_its_cores(facts: Facts, workers: int) -> None:
    assert chosen(facts).train.workers == workers == choose_workers(facts.device, facts.cores)[0]


def test_workers_fit_into_the_memory() -> None:
    facts = replace(GPU, host_gb=5.5)
    assert chosen(facts).train.workers == 5
    assert choose_workers(GPU.device, GPU.cores, host_gb=0.5)[0] == 0
    assert "5.5 GB" in choose_workers(GPU.device, GPU.cores, host_gb=5.5)[1]
    assert choose_workers(CPU.device, 16, host_gb=4.0) == choose_workers(CPU.device, 16)


@pytest.mark.parametrize(("photos", "share"), [(10, 0.15), (4_999, 0.15), (5_000, 0.10)])
def test_the_split_follows_the_number_of_photos(photos: int, share: float) -> None:
    recipe, reasons = choose_split(load_recipe(None), photos)
    assert (recipe.split.val, recipe.split.test) == (share, share)
    assert set(reasons) == {"split.val", "split.test"}


def test_the_users_own_parts_are_never_sized() -> None:
    recipe, reasons = choose_split(load_recipe(None, settings=["split.val=0.2"]), 100, own_parts=("train", "test"))
    assert (recipe.split.val, recipe.split.test, reasons) == (0.2, None, {})
    with pytest.raises(RecipeError, match=r"--set split.test=0.2: has no effect: the photos come with a test part"):
        choose_split(load_recipe(None, settings=["split.test=0.2"]), 100, own_parts=("test",))


@pytest.mark.parametrize("facts", [GPU, CPU, replace(GPU, imbalance=9.0, train_photos=50_000)])
@pytest.mark.parametrize("settings", [[], ["data.fit=pad"], ["train.time=20m", "train.tune=all"]])
def test_the_recipe_of_a_run_repeats_it(tmp_path, facts: Facts, settings: list[str]) -> None:
    loaded = load_recipe(None, settings=settings)
    split, split_reasons = choose_split(loaded, 1500)
    recipe, reasons = choose(replace(loaded, recipe=split), facts)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe, split_reasons | reasons), encoding="utf-8")
    again = load_recipe(str(tmp_path / "recipe.yaml"))
    # What belongs to the machine stays open: the next machine chooses it, this one the same again.
    assert again.recipe == recipe.replace({"train.device": None, "train.workers": None})
    assert choose(again, facts)[0] == recipe


def test_another_machine_chooses_its_own_device_and_workers(tmp_path) -> None:
    recipe, reasons = choose(load_recipe(None, settings=["train.tune=probe"]), GPU)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe, reasons), encoding="utf-8")
    elsewhere = choose(load_recipe(str(tmp_path / "recipe.yaml")), CPU)[0]
    assert (recipe.train.device, recipe.train.workers) == ("cuda", 15)
    assert (elsewhere.train.device, elsewhere.train.workers) == ("cpu", 0)


def test_the_fit_is_the_model_s_own_unless_the_user_says_otherwise() -> None:
    padded = replace(GPU, fit="pad")
    recipe, reasons = choose(load_recipe(None), padded)
    assert (recipe.data.fit, recipe.data.crop_pct, reasons["data.fit"]) == ("pad", None, "the model's own")
    recipe, reasons = choose(load_recipe(None, settings=["data.fit=crop"]), padded)
    assert (recipe.data.fit, recipe.data.crop_pct, "data.fit" in reasons) == ("crop", 0.875, False)
    assert (chosen(GPU).data.fit, chosen(GPU, "data.fit=squash").data.fit) == ("crop", "squash")
    assert problems_of(padded, "data.crop_pct=0.9") == ["--set data.crop_pct=0.9: has no effect with data.fit=pad"]


def test_several_labels_are_not_mixed_and_judged_by_log_loss() -> None:
    many = replace(GPU, train_photos=30_000, multi_label=True, imbalance=9.0)
    recipe, reasons = choose(load_recipe(None), many)
    assert (recipe.train.mixup, recipe.train.cutmix, recipe.train.monitor) == (0.0, 0.0, "log_loss")
    assert reasons["train.mixup"] == "photos with several labels are not mixed"
    assert chosen(many, "model.pooling=per-class").train.cutmix == 0.0
    assert chosen(replace(many, multi_label=False)).train.mixup == 0.1


@pytest.mark.parametrize(
    "setting",
    [
        "train.mixup=0.2",
        "train.cutmix=1",
        "train.balance=loss",
        "train.balance=sampler",
        "train.teacher=s60",
        "evaluate.folds=5",
        "evaluate.top_k=2",
        "evaluate.target_accuracy=0.9",
        "explain.checks=9",
    ],
)
def test_what_has_no_meaning_for_several_labels_is_refused(setting: str) -> None:
    message = f"--set {setting}: has no meaning where photos may have several labels"
    assert problems_of(replace(GPU, multi_label=True), setting) == [message]
    chosen(GPU, setting)


def test_mixing_nothing_may_be_said_of_several_labels_too() -> None:
    chosen(replace(GPU, multi_label=True), "train.mixup=0", "train.cutmix=0")


@pytest.mark.parametrize("way", ["auto", "none"])
def test_several_labels_are_not_balanced(way: str) -> None:
    facts = replace(GPU, multi_label=True, imbalance=9.0)
    assert chosen(facts).train.balance == chosen(facts, f"train.balance={way}").train.balance == "none"


def test_a_teacher_answers_mixed_photos_too() -> None:
    facts = replace(GPU, train_photos=50_000)
    assert chosen(facts, "train.teacher=timm:resnet18").train.mixup == chosen(facts).train.mixup > 0
    assert chosen(facts, "train.teacher=timm:resnet18", "train.cutmix=0.5").train.cutmix == 0.5


@pytest.mark.parametrize("setting", ["train.teacher_weight=2", "train.teacher_size=128"])
def test_a_teachers_settings_without_a_teacher_are_refused(setting: str) -> None:
    assert "has no effect without train.teacher" in problems_of(GPU, setting)[0]


@pytest.mark.parametrize("batch_size", [10**9, 10**9 + 7, 2**62, 10**30, 997 * 991])
@pytest.mark.parametrize("memory_gb", [0.01, 16])
def test_a_batch_of_any_size_is_no_loop(batch_size: int, memory_gb: float) -> None:
    """`--batch-size 1000000000` did not end within a minute: every number up to it was tried."""
    loaded = load_recipe(None, settings=[f"train.batch_size={batch_size}", "train.tune=all"])
    recipe, reasons = choose(loaded, replace(CPU, memory_gb=memory_gb))
    assert batch_size % recipe.train.micro_batch == 0
    assert reasons["train.micro_batch"].startswith("needs about ")  # a card, where it is tried, divides nothing


@pytest.mark.parametrize("number", [1, 2, 7, 12, 36, 60, 64, 97, 100])
def test_the_largest_divisor_below_a_limit_is_found(number: int) -> None:
    for limit in range(1, number + 2):
        expected = max(n for n in range(1, limit + 1) if number % n == 0)
        assert _largest_divisor(number, limit) == expected

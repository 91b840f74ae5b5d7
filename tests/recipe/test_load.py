import os
from pathlib import Path

import pytest

import pcn_cli
from pcn_cli.errors import RecipeError
from pcn_cli.recipe.load import find_recipe, list_recipes, load_recipe
from pcn_cli.recipe.recipe_yaml import dump_recipe, explain_recipe
from pcn_cli.recipe.schema import OPTIONS, Recipe


@pytest.fixture
def write_recipe(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def problems_of(name_or_path: str | None, **options) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name_or_path, **options)
    assert caught.value.exit_code == 2
    return caught.value.message.splitlines()


def test_nothing_asked_for_gives_the_defaults() -> None:
    loaded = load_recipe(None)
    assert loaded.recipe == Recipe()
    assert loaded.origins == {}


def test_a_flag_wins_over_a_setting_over_the_file(write_recipe) -> None:
    path = write_recipe("train:\n  epochs: 3\n  lr: 3e-4\n  tune: all\n")
    loaded = load_recipe(
        path, settings=["train.epochs=4", "train.lr=1e-3"], flags={"train.epochs": 5, "train.time": None}
    )
    assert (loaded.recipe.train.epochs, loaded.recipe.train.lr, loaded.recipe.train.tune) == (5, 1e-3, "all")
    assert loaded.origins == {
        "train.epochs": "--epochs 5",
        "train.lr": "--set train.lr=1e-3",
        "train.tune": f"{path}: train.tune",
    }
    assert loaded.origins.keys() == {"train.epochs", "train.lr", "train.tune"}


def test_a_file_that_repeats_a_default_asks_for_nothing(write_recipe) -> None:
    assert load_recipe(write_recipe("train:\n  trunk_ratio: 0.1\n  lr: null\n")).origins == {}
    assert load_recipe(None, settings=["train.trunk_ratio=0.1"]).origins.keys() == {"train.trunk_ratio"}


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("train: {lr: 3e-4}", "train.lr", 3e-4),
        ("train: {ema: no}", "train.ema", False),
        ("train: {ema: True}", "train.ema", True),
        ("seed: 010", "seed", 10),
        ("report: {title: no}", "report.title", "no"),
        ("report: {title: 12:30}", "report.title", "12:30"),
        ("report: {title: 2026-01-02}", "report.title", "2026-01-02"),
        ("augment: {level: none}", "augment.level", "none"),
        ("train: {time: 1h30m}", "train.time", "1h30m"),
    ],
)
def test_yaml_never_guesses_a_type(write_recipe, line: str, key: str, value: object) -> None:
    assert load_recipe(write_recipe(line)).recipe.value(key) == value


def test_settings_take_words_as_they_are() -> None:
    loaded = load_recipe(
        None, settings=["report.title=no", "augment.level=none", "train.lr=null", "data.labels=a=b.csv"]
    )
    assert (loaded.recipe.report.title, loaded.recipe.augment.level) == ("no", "none")
    assert (loaded.recipe.train.lr, loaded.recipe.data.labels) == (None, "a=b.csv")


def test_all_problems_come_at_once_each_with_its_origin(write_recipe) -> None:
    path = write_recipe("train:\n  lr: yes\n  epoch: 3\n  time: 12:30\ndata: 5\n")
    assert problems_of(
        path, settings=["train.lr=abc", "nonsense"], flags={"train.epochs": 0, "train.tune": "most"}
    ) == [
        f"{path}: data: is a section and should hold `key: value` lines, found '5'",
        "--set nonsense: expected section.key=value",
        f"{path}: train.lr: should be a number, found 'yes'",
        f"{path}: train.epoch: unknown key; the nearest known one is train.epochs",
        f"{path}: train.time: should be a length of time with its unit, such as 90s, 20m or 1h30m, found '12:30'",
        "--set train.lr=abc: should be a number, found 'abc'",
        "--epochs 0: should be greater than or equal to 1, found 0",
        "--tune most: should be 'probe', 'pooling' or 'all', found 'most'",
    ]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.epoch", "train.epochs"),
        ("epochs", "train.epochs"),
        ("trian.lr", "train.lr"),
        ("model.batch_size", "train.batch_size"),
        ("Seed", "seed"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, nearest: str) -> None:
    assert problems_of(None, settings=[f"{key}=1"]) == [
        f"--set {key}=1: unknown key; the nearest known one is {nearest}"
    ]


def test_a_key_like_no_other_gets_no_guess() -> None:
    assert problems_of(None, settings=["xyzzy=1"]) == ["--set xyzzy=1: unknown key"]


@pytest.mark.parametrize(
    "setting", ["train.epochs=2.5", "train.lr=0", "train.lr=nan", "split.val=0.5", "seed=-1", "data.size=16"]
)
def test_a_value_out_of_range_is_refused(setting: str) -> None:
    assert problems_of(None, settings=[setting])[0].startswith(f"--set {setting}: should be")


def test_true_is_no_number(write_recipe) -> None:
    assert problems_of(None, flags={"train.epochs": True}) == ["--epochs True: should be a whole number, found True"]


def test_a_key_twice_in_a_file_is_refused(write_recipe) -> None:
    path = write_recipe("train:\n  lr: 1\n  lr: 2\n")
    assert "the key lr stands twice" in problems_of(path)[0]
    assert problems_of(path)[0].startswith(f"{path}: ")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    assert problems_of(str(tmp_path / "no.yaml")) == [
        f"cannot read the recipe {tmp_path / 'no.yaml'}: No such file or directory"
    ]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    assert "photo.yaml" in problems_of(str(tmp_path / "photo.yaml"))[0]


def test_a_shipped_recipe_is_found_by_name_and_named_in_messages() -> None:
    loaded = load_recipe("probe")
    assert loaded.origins["train.tune"] == "recipes/probe.yaml: train.tune"


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    assert problems_of("carefull") == ["no recipe is called carefull: did you mean careful?"]
    assert problems_of("xyzzy")[0].startswith("no recipe is called xyzzy: there are default, ")


def test_the_written_recipe_reads_back_as_the_same(write_recipe) -> None:
    hostile = [
        "no",
        "12:30",
        "# not a comment",
        "a: b",
        "é\U0001f33b",
        "\udc80\x7f\x07",
        " spaces ",
        "'\"\\",
        "null",
        "~",
        "-",
    ]
    for title in hostile:
        recipe = Recipe().replace({"report.title": title, "train.lr": 1e-5, "train.ema": False, "seed": 2**32 - 1})
        text = dump_recipe(recipe, {"train.lr": f"because\n of # {title}"})
        assert load_recipe(write_recipe(text)).recipe == recipe, title


def test_the_written_recipe_names_every_key_and_its_reason() -> None:
    text = dump_recipe(Recipe(), {"train.batch_size": "fits 11.2 of 16 GB", "seed": "yours"})
    assert text.startswith("seed: 0  # yours\n\ndata:\n  labels: null\n")
    assert "  batch_size: null  # fits 11.2 of 16 GB\n" in text
    assert sum(": " in line for line in text.splitlines()) == len(OPTIONS)


def test_what_was_chosen_for_this_machine_stays_open(write_recipe) -> None:
    recipe = Recipe().replace({"train.device": "cpu", "train.workers": 3})
    text = dump_recipe(recipe, {"train.device": "no accelerator"})
    assert "  device: null  # cpu here: no accelerator\n  workers: 3\n" in text
    assert load_recipe(write_recipe(text)).recipe == recipe.replace({"train.device": None})
    assert load_recipe(write_recipe(dump_recipe(recipe, {}))).recipe == recipe


def test_the_explained_recipe_has_each_sentence_and_is_a_recipe_again(write_recipe) -> None:
    recipe = load_recipe("low-memory").recipe
    text = explain_recipe(recipe)
    assert f"  workers: 1  # {OPTIONS['train.workers'].sentence}\n" in text
    assert load_recipe(write_recipe(text)).recipe == recipe
    for field in OPTIONS.values():
        assert f"# {field.sentence}\n" in text


def test_every_key_has_one_short_sentence() -> None:
    assert len(OPTIONS) > 40
    for field in OPTIONS.values():
        assert field.sentence.endswith("."), field.key
        assert "\n" not in field.sentence, field.key


def test_the_shelf_begins_with_the_default() -> None:
    names = [entry.name for entry in list_recipes()]
    assert names[0] == "default"
    assert names[1:] == sorted(names[1:])
    assert {"quick", "careful", "probe", "low-memory"} <= set(names)


def test_recipes_inside_the_installed_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pcn_cli" / "recipes").mkdir(parents=True)
    (tmp_path / "pcn_cli" / "recipes" / "mine.yaml").write_text("# For me.\nseed: 3\n")
    monkeypatch.setattr(pcn_cli, "__file__", str(tmp_path / "pcn_cli" / "__init__.py"))
    assert [(entry.name, entry.description) for entry in list_recipes()] == [("mine", "For me.")]


def test_a_missing_recipe_names_the_command_that_lists_them() -> None:
    with pytest.raises(RecipeError, match="no recipe is called quik: did you mean quick") as caught:
        find_recipe("quik")
    assert "pcn recipes list" in caught.value.hint


def test_a_recipe_of_aliases_is_refused_and_not_written_out(write_recipe) -> None:
    """600 bytes of aliases stood for gigabytes, which the message then quoted."""
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = problems_of(write_recipe("\n".join(lines) + "\n"))
    assert "line 2: aliases" in problem
    assert len(problem) < 300


@pytest.mark.parametrize("value", ["[" + "x, " * 20_000 + "x]", "x" * 100_000, "{" + "a: {" * 400 + "}" * 401])
def test_a_message_quotes_a_part_of_a_long_value(write_recipe, value: str) -> None:
    for text in (f"train: {value}\n", f"train: {{lr: {value}}}\n", f"seed: {value}\n"):
        problems = problems_of(write_recipe(text))
        assert len("\n".join(problems)) < 2000


def test_what_is_no_regular_file_is_no_recipe(tmp_path: Path) -> None:
    """`--recipe /dev/zero` took 6 GB in 13 s."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to("/dev/zero")
    (tmp_path / "large.yaml").write_text("# " + "x" * 2**17)
    for name in ("/dev/zero", "/dev/random", *(str(tmp_path / f"{one}.yaml") for one in ("pipe", "link"))):
        assert "it is no regular file" in problems_of(name)[0]
    assert "at most 131,072 are read" in problems_of(str(tmp_path / "large.yaml"))[0]
    assert "cannot read the recipe" in problems_of(str(tmp_path / "folder.yaml"))[0]


@pytest.mark.parametrize(
    ("flags", "settings", "hint"),
    [
        ({"evaluate.target_accuracy": "98"}, (), "`pcn COMMAND --help`"),
        ({"train.epochs": "0"}, (), "`pcn COMMAND --help`"),
        ({"train.device": None, "seed": "-1"}, (), "`pcn COMMAND --help`"),
        ({"data.size": "7"}, (), "`pcn COMMAND --help`"),
        ({"evaluate.folds": "1", "train.time": "soon"}, (), "`pcn COMMAND --help`"),
        ({}, ("data.sise=64",), "`pcn recipes show`"),
        ({}, ("train.epochs=0",), "`pcn recipes show`"),
        ({"train.epochs": "0"}, ("train.lrr=1",), "`pcn recipes show`"),
    ],
)
def test_the_hint_is_about_where_the_value_came_from(flags, settings, hint):
    """Seen with --epochs 0: the hint told of --set's keys."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(None, settings=settings, flags=flags)
    assert hint in caught.value.hint

"""An exported file answers as the model does, and whatever does not is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import pcn_cli
from pcn_cli.data.load import open_image
from pcn_cli.data.load.open_image import OpenedPhoto
from pcn_cli.data.load.preprocessing import Evaluation
from pcn_cli.errors import DataError, ModelError, RecipeError, ResourceError, RunError
from pcn_cli.metrics.unlike import Learned, unit_length
from pcn_cli.models.aggregation import AttentionPooled
from pcn_cli.models.export import AnswerNetwork
from pcn_cli.models.sources import find_source
from pcn_cli.models.sources.folder import save_model_folder
from pcn_cli.models.weights import Fetcher
from pcn_cli.recipe.schema import DataSection, EvaluateSection, ModelSection, Recipe
from pcn_cli.records.model import ClassThreshold, ConformalLevel, ModelConfig, Preprocessing, Selection
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.store import read_split
from pcn_cli.stages import answers
from pcn_cli.stages import export as stage
from pcn_cli.stages.export import Exported, export
from pcn_cli.stages.exported import run_model
from pcn_cli.stages.exported.predict import as_input, predict_exported
from pcn_cli.stages.inference.learned import write_learned
from pcn_cli.stages.inference.load import open_model
from pcn_cli.stages.predict import predict
from pcn_cli.tensors.pixels import Norm, normalise

CLASSES = ("ash", "elm", "oak", "yew")
LABELS = (0.25, 0.4, 0.3, 0.5)


def make_model(folder: Path, source: str, *, fit: str = "crop", **kind: object) -> Path:
    """A model folder of a network that is sure of itself, and looks at some patches more than at others.

    `kind` are its pooling, whether it mirrors, and facts of its config.
    """
    pooling, mirror = (kind.pop(name, None) for name in ("pooling", "mirror"))
    recipe = Recipe(
        data=DataSection(size=64, fit=fit),
        model=ModelSection(pooling=pooling),
        evaluate=EvaluateSection(mirror=bool(mirror)),
    )
    model, config = find_source(source).start(CLASSES, recipe, fetch=Fetcher())
    with torch.no_grad():
        model.head.weight.mul_(30)
        model.pooling.q.bias.normal_(std=3.0, generator=torch.Generator().manual_seed(0))
        model.pooling.k.weight.add_(
            torch.randn(model.pooling.k.weight.shape, generator=torch.Generator().manual_seed(1))
        )
    save_model_folder(folder, model.eval(), replace(config, **{"temperature": 1.5, **kind}))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_weights) -> Path:
    """A model with a threshold and conformal sets."""
    folder = make_model(
        tmp_path_factory.mktemp("model") / "tiny",
        str(tiny_weights),
        selection=Selection(target=0.9, photos=9, threshold=0.6),
        conformal=(ConformalLevel(level=0.9, photos=9, least_probability=0.2),),
    )
    (folder / "README.md").write_text("# A card\n", encoding="utf-8")
    features = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    write_learned(folder, Learned(unit_length(features), np.linspace(0.3, 0.7, 40, dtype=np.float32)))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Nine photos of one size with broad and fine structure, each with colours of its own."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(9):
        broad = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((128, 96))
        fine = rng.integers(-70, 71, (96, 128, 3))
        pixels = np.clip(np.asarray(broad).astype(int) + fine, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def made(model, photos, tmp_path_factory) -> Exported:
    """The model as ONNX."""
    return export(model, images=photos, output=tmp_path_factory.mktemp("out"))


def names(photos: Path) -> list[str]:
    return sorted(map(str, photos.iterdir()))


def assert_alike(ours: list[dict], theirs: list[dict]) -> None:
    """The same answers, but for the rounding of numbers."""
    for one, other in zip(json.loads(json.dumps(ours)), json.loads(json.dumps(theirs)), strict=True):
        assert {key: one[key] for key in ("file", "error")} == {key: other[key] for key in ("file", "error")}
        assert one.keys() == other.keys()
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)
        assert one["unlike"] == pytest.approx(other["unlike"], abs=1e-2)
        for key in ("labels", "top"):
            assert [guess["label"] for guess in one.get(key, ())] == [guess["label"] for guess in other.get(key, ())]
            assert [guess.get("least") for guess in one.get(key, ())] == [
                guess.get("least") for guess in other.get(key, ())
            ]
            assert [guess["p"] for guess in one.get(key, ())] == pytest.approx(
                [guess["p"] for guess in other.get(key, ())], abs=1e-3
            )
        assert [one.get(key) for key in ("label", "unknown", "reason", "sets")] == [
            other.get(key) for key in ("label", "unknown", "reason", "sets")
        ]


def run_program(runner: Path, *files: str) -> list[dict]:
    """What the program beside an exported file prints, where there is neither torch nor pcn."""
    code = (
        "import runpy, sys; sys.modules.update(torch=None, pcn_cli=None);"
        f" runpy.run_path({str(runner)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, *files], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_file_its_program_and_the_model_answer_alike(made, model, photos, tmp_path):
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["run_model.py", "tiny.onnx"]
    assert made.parity.photos == 18  # nine, each in a second size too
    assert made.parity.largest_difference < 1e-5
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = [*names(photos), str(tmp_path / "broken.png")]
    expected = predict(files, model=model)
    assert {answer["label"] for answer in expected[:-1]} & {"unknown"}
    assert len({answer["label"] for answer in expected[:-1]}) > 2
    assert {answer["reason"] for answer in expected[:-1]} >= {"unlike anything learned", ""}
    assert_alike(expected, predict_exported(files, model=made.path))
    assert_alike(expected[:-1], run_program(made.runner, *files)[:-1])
    assert run_program(made.runner, files[-1])[0]["error"]


def test_a_second_format_leaves_the_program_of_the_first(made, model, photos, tmp_path):
    """Each took the place of the program of the one before, which then asked for a file of another format."""
    folder = tmp_path / "out"
    folder.mkdir()
    for path in (made.path, made.runner):
        (folder / path.name).write_bytes(path.read_bytes())
    other = export(model, to="torch", images=photos, output=folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "run_model.py",
        "run_model_torch.py",
        "tiny.onnx",
        "tiny.pt2",
    ]
    assert (folder / "run_model.py").read_bytes() == made.runner.read_bytes()
    assert "tiny.pt2" in other.runner.read_text(encoding="utf-8")


def test_the_program_without_a_photo_says_how_it_is_called(made):
    done = subprocess.run([sys.executable, made.runner], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "python THIS_FILE PHOTO" in done.stderr
    assert done.stdout == ""


def test_the_file_says_what_it_is_and_nothing_of_this_machine(made):
    graph = onnx.load(made.path)
    onnx.checker.check_model(graph, full_check=True)
    facts = {one.key: one.value for one in graph.metadata_props}
    assert facts["model_card"] == "# A card\n"
    config = json.loads(facts["config"])
    assert config["classes"] == list(CLASSES)
    assert config["temperature"] == 1.5
    assert config["selection"]["threshold"] == 0.6
    assert config["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert [one.name for one in graph.graph.output] == ["probabilities", "decision", "map", "image_share", "unlike"]
    content = made.path.read_bytes()
    assert str(Path(pcn_cli.__file__).parents[1]).encode() not in content
    assert b"site-packages" not in content
    program = made.runner.read_text(encoding="utf-8")
    assert len([line for line in program.splitlines() if line.strip()]) <= 60
    assert "pcn_cli" not in program


@pytest.mark.parametrize("to", ["openvino", "torch"])
def test_other_formats_answer_alike(model, photos, tmp_path, to):
    made = export(model, to=to, images=photos, output=tmp_path / "out")
    assert made.parity.least_correlation > 0.999
    lines = made.runner.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 60
    program = stage._import_program(made.runner)
    compute, facts = program.load(made.path)
    assert facts["classes"] == list(CLASSES)
    pictures = np.stack([program.prepare(program.open_photo(file), facts["preprocessing"]) for file in names(photos)])
    p, decision, maps, share, unlike = compute(pictures)
    assert maps.shape == (9, 4, 4)
    assert maps.sum(axis=(1, 2)) == pytest.approx(1)
    assert (share > 0).all()
    assert (share <= 1).all()
    assert (unlike > 0).all()
    for row, answer in zip(p, predict(names(photos), model=model), strict=True):
        assert row.max() == pytest.approx(answer["confidence"], abs=1e-4)
    assert (decision == -1).any()
    if to == "openvino":
        assert_alike(predict(names(photos), model=model), predict_exported(names(photos), model=made.path))
        files = sorted(path.name for path in made.path.parent.iterdir())
        # Nothing is kept that could be damaged unseen.
        assert files == ["run_model_openvino.py", "tiny.bin", "tiny.xml"]
        code = "import sys, run_model_openvino as m, pathlib as p; m.load(p.Path(sys.argv[1])); print(*sys.modules)"
        words = [sys.executable, "-c", code, str(made.path)]
        loaded = subprocess.run(
            words, cwd=made.runner.parent, capture_output=True, text=True, check=True
        ).stdout.split()
        assert "openvino.tools.ovc.convert" not in loaded
        assert "torch" not in loaded
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert str(Path(pcn_cli.__file__).parents[1]).encode() not in content


@pytest.mark.parametrize(
    "kind",
    [
        {
            "multi_label": True,
            "thresholds": tuple(ClassThreshold(label=n, threshold=t) for n, t in zip(CLASSES, LABELS, strict=True)),
        },
        {"pooling": "per-class", "fit": "pad"},
        {"mirror": True},
    ],
    ids=["several labels", "class tokens, padded", "mirrored"],
)
def test_every_kind_of_model_can_be_exported(tmp_path, tiny_weights, photos, kind):
    model = make_model(tmp_path / "tiny", str(tiny_weights), **kind)
    made = export(model, to="onnx" if "multi_label" in kind else "torch", images=photos, output=tmp_path / "out")
    assert made.parity.least_correlation > 0.999
    if "multi_label" in kind:
        assert any(len(answer["labels"]) > 1 for answer in predict(names(photos), model=model))
        assert_alike(predict(names(photos), model=model), predict_exported(names(photos), model=made.path))
        assert_alike(predict(names(photos), model=model), run_program(made.runner, *names(photos)))


@pytest.mark.parametrize(
    "backbone",
    ["resnet10t", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vit_tiny_patch16_224", "convnext_atto"))],
)
def test_backbones_of_timm_can_be_exported(tmp_path, photos, backbone):
    size = 224 if "vit" in backbone else 64
    torch.manual_seed(0)
    network = AttentionPooled(backbone=backbone, num_classes=4).eval()
    with torch.no_grad():
        network.head.weight.mul_(30)
        network.pooling.q.bias.normal_(std=3.0)
    config = ModelConfig(
        architecture="attention_pooled",
        model_args={"backbone": backbone},
        classes=CLASSES,
        preprocessing=Preprocessing(height=size, width=size),
    )
    save_model_folder(tmp_path / "net", network, config)
    made = export(tmp_path / "net", to="torch", images=photos, output=tmp_path / "out")
    assert made.parity.least_correlation > 0.999


@pytest.fixture
def exported(model, made):
    """An exported file and the model it is of."""
    return open_model(model, fetch=Fetcher(offline=True)), made


def plant(monkeypatch, **wrong):
    """Change what the program beside the file does."""
    load_program = stage._import_program

    def planted(path):
        program = load_program(path)
        for name, make in wrong.items():
            setattr(program, name, make(getattr(program, name)))
        return program

    monkeypatch.setattr(stage, "_import_program", planted)


def flipped(self, pictures):
    return AnswerNetwork.true_normalise(self, pictures.flip(-1))


def with_other_mean(self, pictures):
    return (pictures[..., :3].float() / 255 - 0.5) / self.std


def transposed(self, weights, best, grid):
    looks, shares = AnswerNetwork.true_look(self, weights, best, grid)
    return looks.transpose(1, 2), shares


def half_as_warm(self, network, config, learned=None):
    AnswerNetwork.true_init(self, network, replace(config, temperature=config.temperature / 2), learned)


def other_decision(self, probabilities, best):
    return AnswerNetwork.true_decide(self, probabilities, (best + 1) % probabilities.shape[1])


FAULTS = {
    "BGR": ("normalise", flipped, "probabilities differ"),
    "another mean": ("normalise", with_other_mean, "probabilities differ"),
    "half the temperature": ("__init__", half_as_warm, "probabilities differ"),
    "a transposed map": ("look", transposed, "maps differ"),
    "another decision": ("decide", other_decision, "photos otherwise"),
}


def plant_fault(monkeypatch, fault: str) -> str:
    """Put the fault into every graph to come; what the gate says of it."""
    method, wrong, words = FAULTS[fault]
    monkeypatch.setattr(AnswerNetwork, f"true_{method.strip('_')}", getattr(AnswerNetwork, method), raising=False)
    monkeypatch.setattr(AnswerNetwork, method, wrong)
    return words


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_graph_is_found(exported, photos, monkeypatch, fault):
    model, made = exported
    config, words = model.config, plant_fault(monkeypatch, fault)
    graph = AnswerNetwork(model.network, config, stage._remembered(model))

    @torch.inference_mode()
    def compute(pictures):
        return [one.numpy() for one in graph(torch.tensor(pictures))]

    plant(monkeypatch, load=lambda load: lambda path: (compute, load(path)[1]))
    problems = stage.prove(model, made.path, sorted(photos.iterdir()), callback=stage.Callback()).problems
    assert words in " ".join(problems)


def test_what_answers_otherwise_is_refused_with_code_4_and_nothing_is_written(model, photos, tmp_path, monkeypatch):
    words = plant_fault(monkeypatch, "BGR")
    with pytest.raises(ModelError, match=words) as refused:
        export(model, to="torch", images=photos, output=tmp_path / "out")
    assert refused.value.exit_code == 4
    assert not (tmp_path / "out").exists()


def test_a_program_that_resizes_without_antialias_is_found(exported, photos, tmp_path):
    model, made = exported
    right = 'image.resize((w, h), Image.Resampling[to["interpolation"].upper()])'
    plain = "image.transform((w, h), Image.Transform.EXTENT, (0, 0, *image.size), Image.Resampling.BICUBIC)"
    program = made.runner.read_text(encoding="utf-8")
    assert right in program
    shutil.copy(made.path, tmp_path)
    (tmp_path / made.runner.name).write_text(program.replace(right, plain), encoding="utf-8")
    found = stage.prove(model, tmp_path / made.path.name, sorted(photos.iterdir()), callback=stage.Callback())
    assert "probabilities differ" in " ".join(found.problems)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("elm", "oak", "yew", "ash"), "probabilities differ"),
        (("elm", "oak", "yew", "fir"), "its classes are elm, oak"),
    ],
    ids=["permuted", "others"],
)
def test_other_classes_in_the_metadata_are_found(exported, photos, monkeypatch, classes, words):
    model, made = exported

    def renamed(load):
        def loaded(path):
            compute, facts = load(path)
            return compute, facts | {"classes": list(classes)}

        return loaded

    plant(monkeypatch, load=renamed)
    problems = stage.prove(model, made.path, sorted(photos.iterdir()), callback=stage.Callback()).problems
    assert words in " ".join(problems)


def test_a_frozen_batch_is_refused(model, photos, tmp_path, monkeypatch):
    trace = torch.export.export
    monkeypatch.setattr(torch.export, "export", lambda network, inputs, dynamic_shapes: trace(network, inputs))
    with pytest.raises(ModelError, match="at a batch of 1 it fails"):
        export(model, to="torch", images=photos, output=tmp_path / "out")


def test_a_fault_at_one_size_of_batch_is_found(exported, photos, monkeypatch):
    model, made = exported
    paths = sorted(photos.iterdir())
    assert not stage.prove(model, made.path, paths, callback=stage.Callback()).problems
    for size in (1, 2, 7):

        def wrong(load, size=size):
            def loaded(path):
                compute, facts = load(path)
                return lambda pictures: compute(
                    np.roll(pictures, 1, axis=1) if len(pictures) == size else pictures
                ), facts

            return loaded

        with monkeypatch.context() as here:
            plant(here, load=wrong)
            assert stage.prove(model, made.path, paths, callback=stage.Callback()).problems, size


def test_every_size_of_batch_comes_though_there_is_one_photo(exported, photos):
    model, made = exported
    assert [len(batch) for batch in stage._batches(1)] == [1, 2, 7]
    assert stage.prove(model, made.path, sorted(photos.iterdir())[:1], callback=stage.Callback()).photos == 2


def test_the_program_gets_smaller_copies_of_what_takes_much_memory(exported, photos, monkeypatch):
    model, made = exported
    opened = []
    monkeypatch.setattr(stage, "takes_much_memory", lambda path: path.name != "gone.jpg")
    monkeypatch.setattr(stage, "_LIGHT", 64)

    def noting(open_photo):
        return lambda file: opened.append(open_photo(file)) or opened[-1]

    plant(monkeypatch, open_photo=noting)
    paths = [*sorted(photos.iterdir())[:2], photos / "gone.jpg"]
    parity = stage.prove(model, made.path, paths, callback=stage.Callback())
    assert (parity.photos, parity.problems) == (4, ())
    assert {max(picture.size) for picture in opened} == {64}


def test_a_model_that_sees_truncated_photos_is_compared_on_them(exported, photos, tmp_path):
    model, made = exported
    photo = min(photos.iterdir())
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(photo.read_bytes()[: photo.stat().st_size * 3 // 4])
    paths = [photo, torn]
    assert stage.prove(model, made.path, paths, callback=stage.Callback()).photos == 2
    parity = stage.prove(replace(model, load_truncated=True), made.path, paths, callback=stage.Callback())
    assert (parity.photos, parity.problems) == (4, ())


def test_for_the_overlay_of_a_vast_photo_nothing_is_decoded_again_by_an_exported_file(
    made, photos, tmp_path, monkeypatch
):
    photo = min(photos.iterdir())
    expected = predict_exported(photo, model=made.path, overlay=tmp_path / "maps")
    monkeypatch.setattr(open_image, "MOST_WHOLE", 10)
    monkeypatch.setattr(answers, "open_reduced", lambda *_, **__: pytest.fail("opened again"))
    assert_alike(expected, predict_exported(photo, model=made.path, overlay=tmp_path / "again"))


def test_a_fault_at_a_second_size_of_photos_is_found(exported, photos, monkeypatch):
    model, made = exported

    def wrong(prepare):
        return lambda image, to: prepare(image if image.size == (128, 96) else image.rotate(180), to)

    plant(monkeypatch, prepare=wrong)
    assert stage.prove(model, made.path, sorted(photos.iterdir()), callback=stage.Callback()).problems


def test_fewer_answers_than_photos_are_found(exported, photos, monkeypatch):
    model, made = exported

    def short(load):
        def loaded(path):
            compute, facts = load(path)
            return lambda pictures: [one[:6] for one in compute(pictures)], facts

        return loaded

    plant(monkeypatch, load=short)
    parity = stage.prove(model, made.path, sorted(photos.iterdir()), callback=stage.Callback())
    assert parity.problems == ("of a batch of 7 photos it answers 6",)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    ("fit", "height", "width", "crop_pct"),
    [
        ("crop", 64, 64, 0.875),
        ("crop", 48, 80, 0.9),
        ("crop", 33, 33, 1.0),
        ("pad", 64, 64, 1.0),
        ("squash", 40, 64, 1.0),
    ],
)
def test_the_program_and_the_graph_prepare_photos_bit_for_bit_as_pcn_does(fit, height, width, crop_pct, interpolation):
    size = Preprocessing(height=height, width=width, fit=fit, crop_pct=crop_pct, interpolation=interpolation)
    config = ModelConfig(architecture="", classes=("a", "b"), preprocessing=size)
    graph, rng = AnswerNetwork(torch.nn.Identity(), config), np.random.default_rng(0)
    wanted = {name: getattr(size, name) for name in ("height", "width", "fit", "crop_pct", "interpolation")}
    for shape in ((64, 64), (97, 31), (30, 111), (200, 201), (7, 300), (1, 1)):
        image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        pictures = run_model.prepare(image, wanted)
        prepared = Evaluation(preprocessing=size)(OpenedPhoto.whole(image))
        assert np.array_equal(pictures, as_input(prepared, size))
        images = graph.normalise(torch.tensor(pictures[None])).permute(0, 3, 1, 2)
        pixels = torch.tensor(prepared.pixels[None]).permute(0, 3, 1, 2)
        assert torch.equal(images, normalise(pixels, Norm(size.mean, size.std), torch.tensor([prepared.window])))


def test_photos_are_needed_and_a_run_has_its_own(model, tmp_path):
    with pytest.raises(DataError, match="no validation photos to compare on"):
        export(model, output=tmp_path / "out")
    with pytest.raises(RunError, match="no finished run yet"):
        export()


def test_a_run_is_compared_on_its_validation_photos_into_its_own_folder(photo_folder, tiny_weights):
    pcn_cli.finetune(photo_folder, model=str(tiny_weights), tune="probe", size=32, output="run")
    made = export("run", to="torch")
    assert made.path == Path("run/export/run.pt2")
    for place in (photo_folder, photo_folder / "made"):
        with pytest.raises(ResourceError, match="never written to"):
            export("run", to="torch", output=place)
    validation = [row for row in read_split(RunDir(Path("run"))) if row.split == "val"]
    assert made.parity.photos == 2 * len(validation)
    moved = photo_folder.rename(photo_folder.with_name("moved"))
    with pytest.raises(RunError, match=r"are not at .*photos any more") as refused:
        export("run", to="torch")
    assert refused.value.hint == "pcn export run --images PHOTOS"
    assert len(stage._choose_photos(RunDir(Path("run")), moved)) == 36


def test_nothing_is_written_beside_the_photos_to_compare_on(model, photos):
    with pytest.raises(ResourceError, match="never written to"):
        export(model, images=photos / "0.png", output=photos)


def test_a_place_that_cannot_be_is_told_before_the_model_is_read(model, photos, tmp_path, monkeypatch):
    (tmp_path / "letter").touch()
    monkeypatch.setattr(stage, "open_model", lambda *_, **__: pytest.fail("read the model"))
    for place in ("letter", "letter/deep"):
        with pytest.raises(ResourceError, match="letter is a file, not a folder") as caught:
            export(model, images=photos / "0.png", output=tmp_path / place)
        assert caught.value.hint == "name another folder with --output FOLDER"


def test_the_program_of_another_model_stays(made, model, photos, tmp_path):
    program = tmp_path / "run_model.py"
    program.write_text(made.runner.read_text(encoding="utf-8").replace("tiny.onnx", "other.onnx"), encoding="utf-8")
    with pytest.raises(ResourceError, match="belongs to another model"):
        export(model, images=photos, output=tmp_path)
    assert "other.onnx" in program.read_text(encoding="utf-8")


def test_an_exported_file_is_no_model_to_go_on_with(made):
    with pytest.raises(ModelError, match="exported for other programs"):
        open_model(made.path, fetch=Fetcher())


def test_a_file_that_remembers_nothing_refuses_no_photo_in_silence(made, photos, tmp_path):
    program = onnx.load(made.path)
    kept = {one.key: one.value for one in program.metadata_props}
    kept["config"] = json.dumps(json.loads(kept["config"]) | {"remembers": False})
    onnx.helper.set_model_props(program, kept)
    onnx.save(program, tmp_path / "forgetful.onnx")
    with pytest.raises(RecipeError, match="--refuse-unlike has no effect"):
        predict_exported(photos, model=tmp_path / "forgetful.onnx", refuse_unlike=True)


def test_what_a_file_does_not_hold_is_refused(model, photos, tmp_path):
    with pytest.raises(RecipeError, match="--precision has no effect"):
        predict_exported(photos, model="x.onnx", precision="bfloat16")
    with pytest.raises(RecipeError, match="--engine has no effect"):
        predict_exported(photos, model="x.onnx", engine="torch")
    with pytest.raises(RecipeError, match="--device has no effect"):
        predict_exported(photos, model="x.onnx", device="cpu")
    with pytest.raises(RecipeError, match="--map evidence has no meaning"):
        predict_exported(photos, model="x.onnx", overlay=tmp_path / "maps", overlay_map="evidence")
    with pytest.raises(ModelError, match="there is no file"):
        predict_exported(photos, model="x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is damaged"):
        predict_exported(photos, model=tmp_path / "x.onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "y.onnx")
    with pytest.raises(ModelError, match="no file that pcn export wrote"):
        predict_exported(photos, model=tmp_path / "y.onnx")


def test_predicting_with_a_file_imports_no_torch(made, model, photos, tmp_path):
    words = ["predict", str(photos), "--model", str(made.path), "--json", "--overlay", str(tmp_path / "maps")]
    code = f"""
import sys
sys.argv = ["pcn", *{words!r}]
from pcn_cli.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {{"torch", "torchvision", "timm", "sklearn", "scipy", "albumentations"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert_alike(predict(photos, model=model), json.loads(done.stdout))
    assert len(list((tmp_path / "maps").iterdir())) == 9

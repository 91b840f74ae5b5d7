"""The examples of segmentation and detection learn, measure, and are used again; on drawn photos with exact truth."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from pcn_cli.data.scenes import KINDS, draw_scenes
from pcn_cli.models.patchconvnet import PatchConvNet
from pcn_cli.models.pyramid import Pyramid

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of pycocotools
]


def load(name: str) -> ModuleType:
    pytest.importorskip("segmentation_models_pytorch")
    pytest.importorskip("pycocotools")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small photos."""
    folder = tmp_path_factory.mktemp("scenes")
    draw_scenes(folder, 8, seed=1, size=(80, 64), things=2)
    return folder


def tiny_pyramid() -> Pyramid:
    torch.manual_seed(0)
    return Pyramid(PatchConvNet(embed_dim=32, depth=3, num_classes=1, layer_scale=1.0))


def test_a_few_steps_of_segmentation_learn(scenes: Path, capsys):
    segment = load("segment")
    pairs = segment.read_pairs(scenes / "photos", scenes / "masks", size=64)
    assert [tuple(one.photo.shape) for one in pairs] == [(3, 64, 80)] * 8
    network = segment.Segmenter(tiny_pyramid(), 1 + len(KINDS), channels=32)
    before = np.nanmean(segment.measure_iou(network, pairs, 5))
    history = segment.train(network, pairs, steps=30, batch=4, lr=2e-3)
    assert history[-1][2] < 0.6 * history[0][2]
    assert np.nanmean(segment.measure_iou(network, pairs, 5)) > before + 0.1
    assert "step 30 of 30" in capsys.readouterr().out


def test_intersection_over_union_is_counted_over_all_photos():
    segment = load("segment")

    class Known(torch.nn.Module):
        """Answers class 1 on the left half, class 0 on the right."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pictures):
            logits = torch.zeros(1, 3, *pictures.shape[-2:])
            logits[:, 1, :, : pictures.shape[-1] // 2] = 1
            return logits + self.weight

    classes = torch.zeros(4, 8, dtype=torch.int64)
    classes[:, :6] = 1  # 24 pixels, of which 16 are found
    classes[0, 7] = 255
    found = segment.measure_iou(Known(), [segment.Pair(torch.zeros(3, 4, 8), classes)] * 2, 3)
    assert found[:2] == pytest.approx([7 / 15, 16 / 24])
    assert np.isnan(found[2])


def test_a_varied_mask_stays_on_its_photo(scenes: Path):
    segment = load("segment")
    classes = torch.zeros(64, 80, dtype=torch.int64)
    classes[20:44, 10:50] = 1
    photo = classes.float().expand(3, -1, -1)
    for seed in range(8):
        varied = segment.vary(segment.Pair(photo, classes), 64, np.random.default_rng(seed))
        assert varied.photo.shape == (3, 64, 64)
        # Nearest and antialiased scaling differ at edges alone.
        assert ((varied.photo[0] > 0.5).long() != varied.classes).float().mean() < 0.05


def test_a_mask_of_another_size_is_refused(tmp_path: Path):
    segment = load("segment")
    for folder, size in (("photos", (40, 30)), ("masks", (30, 40))):
        (tmp_path / folder).mkdir()
        Image.new("RGB" if folder == "photos" else "L", size).save(tmp_path / folder / "a.png")
    with pytest.raises(SystemExit, match="expected one number per pixel"):
        segment.read_pairs(tmp_path / "photos", tmp_path / "masks", size=32)
    with pytest.raises(SystemExit, match="no photo of"):
        segment.read_pairs(tmp_path / "masks", tmp_path / "photos" / "none", size=32)


def test_the_scripts_train_and_predict_as_their_first_lines_say(tmp_path: Path, monkeypatch, capsys):
    scenes = tmp_path / "scenes"
    draw_scenes(scenes, 3, seed=1, size=(80, 64), things=2)
    segment, detect = load("segment"), load("detect")
    for module in (segment, detect):
        monkeypatch.setattr(module.pcn_cli, "load_model", lambda _: PatchConvNet(embed_dim=16, depth=1, num_classes=1))
    monkeypatch.chdir(tmp_path)
    small = ["--steps", "2", "--batch", "2", "--size", "64"]
    for module, truth in ((segment, "masks"), (detect, "coco.json")):
        words = [str(scenes / "photos"), str(scenes / truth), *small]
        monkeypatch.setattr(sys, "argv", ["example.py", *words])
        module.main()
        monkeypatch.setattr(sys, "argv", ["example.py", "--predict", str(scenes / "photos")])
        module.main()
    shown = capsys.readouterr().out
    assert "mIoU" in shown
    assert "masks: AP" in shown
    masks = sorted((tmp_path / "segmenter" / "masks").iterdir())
    assert len(masks) == 3
    with Image.open(masks[0]) as mask:
        assert (mask.size, mask.mode) == ((80, 64), "L")
    assert isinstance(json.loads((tmp_path / "detector" / "found.json").read_text()), list)
    assert (tmp_path / "detector" / "history.csv").read_text().startswith("step,lr,loss")


def test_targets_of_detection_are_torchvisions(scenes: Path):
    detect = load("detect")
    truth = detect.quietly(detect.COCO, str(scenes / "coco.json"))
    examples = detect.read_examples(scenes / "photos", truth, masks=True)
    assert len(examples) == 8
    for example in examples:
        own = truth.imgToAnns[example.number]
        assert example.target["labels"].tolist() == [one["category_id"] for one in own]
        for box, mask, one in zip(example.target["boxes"], example.target["masks"], own, strict=True):
            assert int(mask.sum()) == one["area"]
            left, top, right, bottom = map(int, box)
            assert int(mask[top:bottom, left:right].sum()) == one["area"]
    polygon = detect.draw_mask([[2, 1, 6, 1, 6, 5, 2, 5]], 8, 10)
    assert polygon.shape == (8, 10)
    assert 12 <= polygon[1:5, 2:6].sum() == polygon.sum()


def test_a_perfect_answer_has_an_ap_of_one(scenes: Path, monkeypatch):
    detect = load("detect")
    truth = detect.quietly(detect.COCO, str(scenes / "coco.json"))
    examples = detect.read_examples(scenes / "photos", truth, masks=True)
    settings = {"numbers": {1: 1, 2: 2, 3: 3, 4: 4}, "masks": True}
    by_photo = {one.photo.numpy().tobytes(): truth.imgToAnns[one.number] for one in examples}

    def known(_network, photo):
        own = by_photo[photo.numpy().tobytes()]
        return [
            {"label": one["category_id"], "score": 0.9, "bbox": one["bbox"], "segmentation": truth.annToRLE(one)}
            for one in own
        ]

    monkeypatch.setattr(detect, "find_things", known)
    assert detect.measure_ap(torch.nn.Identity(), examples, truth, settings) == {
        "boxes": (1.0, 1.0, 1.0), "masks": (1.0, 1.0, 1.0)
    }  # fmt: skip
    monkeypatch.setattr(detect, "find_things", lambda *_: [])
    assert detect.measure_ap(torch.nn.Identity(), examples, truth, settings)["boxes"] == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_eight_photos_are_learned_by_heart_as_masks(tmp_path: Path):
    segment = load("segment")
    draw_scenes(tmp_path, 8, seed=0)
    pairs = segment.read_pairs(tmp_path / "photos", tmp_path / "masks", size=128)
    torch.manual_seed(0)
    network = segment.Segmenter(segment.make_encoder("nano"), 1 + len(KINDS), channels=64)
    segment.train(network, pairs, steps=120, batch=8, lr=2e-3, varied=False)
    assert np.nanmean(segment.measure_iou(network, pairs, 5)) > 0.95


@pytest.mark.slow
def test_eight_photos_are_learned_by_heart_as_things(tmp_path: Path):
    detect = load("detect")
    draw_scenes(tmp_path, 8, seed=0)
    truth = detect.quietly(detect.COCO, str(tmp_path / "coco.json"))
    examples = detect.read_examples(tmp_path / "photos", truth, masks=False)
    places = {place: place for place in range(1, 5)}
    settings = {"model": "nano", "names": places, "numbers": places, "size": 128, "masks": False}
    torch.manual_seed(0)
    network = detect.make_detector(settings, channels=64)
    detect.train(network, examples, steps=150, batch=4, lr=5e-4)
    assert detect.measure_ap(network, examples, truth, settings)["boxes"][1] > 0.95


def test_the_truth_itself_has_an_ap_of_1_and_nothing_of_0(scenes: Path):
    detect = load("detect")
    truth = detect.quietly(detect.COCO, str(scenes / "coco.json"))
    examples = detect.read_examples(scenes / "photos", truth, masks=True)
    settings = {"masks": True, "numbers": [None, *sorted(truth.cats)]}

    class Answering(torch.nn.Module):
        def __init__(self, *, kept: slice = slice(None)) -> None:
            super().__init__()
            self.somewhere, self.kept = torch.nn.Parameter(torch.zeros(1)), kept

        def forward(self, photos):
            (known,) = [one.target for one in examples if torch.equal(one.photo, photos[0])]
            answer = known | {"scores": torch.ones(len(known["boxes"])), "masks": known["masks"][:, None].float()}
            return [{key: value[self.kept] for key, value in answer.items()}]

    figures = detect.measure_ap(Answering(), examples, truth, settings)
    assert figures["boxes"] == figures["masks"] == (1.0, 1.0, 1.0)
    nothing = detect.measure_ap(Answering(kept=slice(0)), examples, truth, settings)
    assert nothing == {"boxes": (0.0, 0.0, 0.0), "masks": (0.0, 0.0, 0.0)}

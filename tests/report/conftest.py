"""Reports of invented predictions on drawn pictures, and one browser for all tests that open them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pcn_cli.metrics.definitions import described
from pcn_cli.records.desk import Card, Desk, Near
from pcn_cli.records.evaluation import (
    Bin,
    ClassGain,
    Curve,
    Curves,
    CurveStep,
    LearningCurve,
    Trust,
    TrustCheck,
)
from pcn_cli.records.metrics import Candidate, ClassRow, Finding, Metric
from pcn_cli.records.model import (
    Calibration,
    ConformalLevel,
    ModelConfig,
    PatchGrid,
    Placement,
    Preprocessing,
    Selection,
)
from pcn_cli.records.photos import Photo, SkippedFile, Tie
from pcn_cli.records.predictions import AttentionMaps, AttentionNumbers, HidingNumbers, PhotoPlace, Prediction, Suspect
from pcn_cli.records.run import EpochRow
from pcn_cli.records.shift import Differing, Shift
from pcn_cli.records.slices import Slice, Slices
from pcn_cli.report.content import ReportContent, Reproduce, ScanFacts
from pcn_cli.report.write import write_report

GIVEN = ("title", "run", "part", "facts", "classes", "predictions", "maps")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 9L9 0" stroke="#000"/></svg>'


class Held(dict):
    """The files of a run that are at hand, by the type of what they hold."""

    def find(self, kind):
        """What a file holds."""
        return self.get(kind)

    def rows(self, kind):
        """The rows of a table."""
        return self.get(kind, ())

    def without(self, kind):
        """The other files."""
        return Held({key: value for key, value in self.items() if key != kind})


def invent_content(
    count: int = 60, *, name: Callable[[str], str] = str, labelled: bool = True, looks: bool = True, seed: int = 0
) -> ReportContent:
    """A report's content whose every name has gone through `name`; the numbers depend on the seed alone."""
    rng = np.random.default_rng(seed)
    classes = tuple(name(word) for word in ("birch", "maple", "oak"))
    predictions, shares = [], []
    for number in range(count):
        truth = number % 3
        scores = rng.normal(0, 1, 3) + 1.5 * np.eye(3)[truth]
        p = np.exp(scores) / np.exp(scores).sum()
        best = int(p.argmax())
        file = f"{classes[truth]}/{name(f'{number:04}')}.jpg"
        predictions.append(
            Prediction(
                file=file,
                predicted=classes[best],
                confidence=float(p[best]),
                probabilities=tuple(p.tolist()),
                attention=invent_numbers(rng.uniform(0.5, 1.6)),
                hiding=invent_hiding(classes[truth]),
                split="test" if labelled else "",
                label=classes[truth] if labelled else "",
            )
        )
        if looks:
            shares.append((rng.gamma(0.5, 1, (4, 4)), p))
    base = ReportContent(
        title=name("a run"),
        run=name("run-1"),
        part="test" if labelled else "",
        facts=(name("a network"),),
        classes=classes,
        predictions=tuple(predictions),
        maps=invent_maps([one.file for one in predictions], shares) if shares else None,
    )
    return add_measurements(base, name) if labelled else base


def add_measurements(base: ReportContent, name: Callable[[str], str]) -> ReportContent:
    """The same content with everything that needs labels."""
    right, n = sum(bool(p.correct) for p in base.predictions), len(base.predictions)
    accuracy = Metric(value=right / n, n=n, method="share that is right", ci_low=right / n - 0.1, ci_high=right / n)
    guessing = Metric(value=1 / 3, n=n, method="guessing", ci_low=0.2, ci_high=0.5)
    epochs = [
        EpochRow(
            phase="probe",
            epoch=epoch,
            step=epoch * 4,
            lr=1e-3,
            train_loss=1 / epoch,
            val_loss=1 / epoch,
            val_accuracy=0.5,
            val_macro_f1=0.5,
            seconds=1,
            images_per_second=100,
            memory_mb=10,
        )
        for epoch in (1, 2)
    ]
    return ReportContent(
        **{key: getattr(base, key) for key in GIVEN},
        metrics=described(
            {
                "accuracy": accuracy,
                "baseline_majority": guessing,
                "log_loss": Metric(value=0.4, n=n, method=name("mean loss")),
                "threshold_coverage": guessing,
                "threshold_accuracy": accuracy,
                "conformal_90_coverage": accuracy,
                "conformal_90_set_size": Metric(value=1.2, n=n, method=name("mean size"), ci_low=1.1, ci_high=1.3),
                "conformal_90_empty": guessing,
            }
        ),
        majority=base.classes[0],
        candidates=(
            Candidate(name="probe", val_log_loss=0.3, accuracy=accuracy, kept=True),
            Candidate(name="tuned", val_log_loss=0.4, accuracy=guessing),
        ),
        per_class=tuple(ClassRow(label=c, precision=0.5, recall=0.5, f1=0.5, support=n // 3) for c in base.classes),
        confidence=invent_curves(n),
        findings=(
            Finding(severity="note", title=name("a note"), evidence=name("seen"), remedy=name("do")),
            Finding(severity="warning", title=name("a warning"), evidence=name("seen")),
        ),
        desk=invent_desk(base, name),
        artifacts=Held(
            {
                EpochRow: tuple(epochs),
                Suspect: invent_suspects(base, name),
                Shift: invent_shift(base, name),
                Slices: invent_slices(name),
                Trust: invent_trust(accuracy, name),
                PhotoPlace: invent_places(base),
                LearningCurve: invent_learning_curve(accuracy, base.classes),
            }
        ),
        figures={name("history"): SVG},
        scan=ScanFacts(
            parts={"train": dict.fromkeys(base.classes, 5), "test": dict.fromkeys(base.classes, n // 3)},
            unreadable=(SkippedFile(file=name("broken.jpg"), reason=name("truncated")),),
            ignored=2,
            leaks=(invent_tie(base.predictions[0], name("twin.jpg")),),
            copies=(invent_tie(base.predictions[0], name("twin.jpg")),),
            files={p.file: invent_file(p.file, name("series")) for p in base.predictions},
        ),
        model=ModelConfig(
            architecture=name("patchconvnet_nano"),
            classes=base.classes,
            preprocessing=Preprocessing(height=64, width=64),
            card=name("nano"),
            licence=name("Apache-2.0"),
        ),
        reproduce=Reproduce(
            command=name("pcn finetune photos"),
            recipe=name("seed: 0"),
            versions={"pcn": name("0.1")},
            facts=(("device", name("cpu")),),
        ),
    )


def invent_maps(files: list[str], shares: list[tuple[np.ndarray, np.ndarray]]) -> AttentionMaps:
    """Looks, evidence for all classes, and curves that fall from the probability of the first and rise to it."""
    placement = Placement(width=60, height=40, input_width=64, input_height=64, box=(10, 0, 50, 40))
    return AttentionMaps(
        files=tuple(files),
        looks=np.stack([look for look, _ in shares]),
        placements=(placement,) * len(files),
        patch_grid=PatchGrid(),
        evidence=np.stack([np.random.default_rng(n).normal(0, 0.2, (len(p), 4, 4)) for n, (_, p) in enumerate(shares)]),
        evidence_classes=np.stack([np.argsort(-p) for _, p in shares]),
        deletion=np.stack([np.linspace(p.max(), 0.1, 21) for _, p in shares]),
        insertion=np.stack([np.linspace(0.2, p.max(), 21) for _, p in shares]),
    )


def invent_tie(prediction: Prediction, other: str) -> Tie:
    """A test photo whose picture is trained on as well."""
    return Tie(
        kind="near",
        file=prediction.file,
        label=prediction.label,
        part="test",
        other=other,
        other_label=prediction.label,
        other_part="train",
    )


def invent_file(file: str, group: str) -> Photo:
    """What a scan says of a photo."""
    return Photo(file=file, label="", width=60, height=40, sha256="5" * 64, mode="RGB", group=group)


def invent_places(base: ReportContent) -> tuple[PhotoPlace, ...]:
    """A place on the map for each photo that was measured."""
    return tuple(
        PhotoPlace(file=one.file, split="test", label=one.label, x=number / 200, y=(7 * number % 60) / 60)
        for number, one in enumerate(base.predictions)
    )


def invent_trust(metric: Metric, name: Callable[[str], str]) -> Trust:
    """A check that the maps pass and one that they do not."""
    return Trust(
        sample=20,
        seed=0,
        checks=tuple(
            TrustCheck(
                key=key,
                question=name(f"{key}?"),
                outcome=outcome,
                verdict=name("so"),
                values=described({"look": metric}),
            )
            for key, outcome in (("order", "good"), ("uniform_attention", "bad"))
        ),
    )


def invent_learning_curve(figure: Metric, classes: tuple[str, ...]) -> LearningCurve:
    """Half of the photos and all of them teach the same."""
    return LearningCurve(
        figure="accuracy",
        steps=tuple(
            CurveStep(draws=draws, photos=12 // draws, figure=figure, classes=dict.fromkeys(classes, 0.5))
            for draws in (2, 1)
        ),
        gain=Metric(value=0.03, n=figure.n, method="", ci_low=-0.01, ci_high=0.07),
        most=ClassGain(label=classes[0], half=0.4, all=0.5, photos=20),
        left_out=(4, 8),
        scarce=classes[1],
    )


def invent_suspects(base: ReportContent, name: Callable[[str], str]) -> tuple[Suspect, ...]:
    """Two photos of the training part whose label is in doubt."""
    return tuple(
        Suspect(
            rank=rank,
            file=name(f"doubtful-{rank}.jpg"),
            split="train",
            label=base.classes[0],
            suggested=base.classes[rank],
            p_label=0.02 * rank,
            p_suggested=0.9,
        )
        for rank in (1, 2)
    )


def invent_shift(base: ReportContent, name: Callable[[str], str]) -> Shift:
    """Photos that are darker than before."""
    return Shift(
        photos=40,
        reference=60,
        p_value=0.001,
        found=True,
        unlike=0.2,
        differing=(Differing(name="brightness", before=0.5, now=0.3),),
        classes=(Differing(name=base.classes[0], before=0.3, now=0.6),),
        shows=tuple(one.file for one in base.predictions[:2]),
        sentence=name("These photos are darker"),
    )


def invent_slices(name: Callable[[str], str]) -> Slices:
    """Photos of one folder that are answered worse, and of another that are not."""
    facts = {"fact": name("folder"), "photos": 20, "expected": 3.25}
    worse = Slice(**facts, name=name("night"), wrong=12, p_value=0.001, adjusted=0.002, shown=True)
    others = Slice(**facts, name=name("day"), wrong=3, p_value=0.8, adjusted=0.8, shown=False)
    return Slices(level=0.05, correction="Holm", slices=(worse, others))


def invent_desk(
    base: ReportContent, name: Callable[[str], str] = str, *, cards: int = 5, labelled: bool = True
) -> Desk:
    """So many of the photos to decide about, each with two others beside it."""
    files, classes = [one.file for one in base.predictions], base.classes
    return Desk(
        cards=tuple(
            Card(
                file=files[n],
                sha256=f"{n:064}",
                split=base.part if labelled else "",
                label=classes[n % 3] if labelled else "",
                looks_like=classes[(n + 1) % 3],
                p_label=0.1 if labelled else None,
                p_looks_like=0.8,
                why=name("label in doubt"),
                near=tuple(Near(file=files[m % len(files)], label=classes[m % 3]) for m in (n + 3, n + 4)),
            )
            for n in range(min(cards, len(files)))
        ),
        classes=classes,
        command=name("pcn finetune photos --model runs/first --decisions decisions.csv"),
        folder="" if labelled else "new photos",
    )


def invent_curves(n: int) -> Curves:
    """What an evaluation of n pictures says of the confidences."""
    bins = tuple(
        Bin(confidence=c, accuracy=c - 0.05, photos=-(-n // 4), ci_low=c - 0.15, ci_high=c)
        for c in (0.4, 0.6, 0.8, 0.95)
    )
    return Curves(
        coverage=Curve(x=(0.1, 0.5, 1.0), y=(1.0, 0.95, 0.8)),
        before=bins,
        after=bins,
        temperature=1.4,
        calibration=Calibration(validation_photos=60, photos=30, log_loss_before=0.6, log_loss_after=0.5),
        selection=Selection(target=0.95, photos=60, threshold=0.7, answered=40, right=38),
        conformal=(
            ConformalLevel(level=0.9, photos=30, least_probability=0.2),
            ConformalLevel(level=0.95, photos=30),
        ),
    )


def invent_numbers(border_share: float = 1.2) -> AttentionNumbers:
    """The numbers of some map."""
    return AttentionNumbers(
        image_share=0.9,
        effective_patches=9.5,
        gini=0.4,
        mass50=0.2,
        mass80=0.5,
        border_share=border_share,
        peak_x=20,
        peak_y=20,
        center_x=30,
        center_y=20,
    )


def invent_hiding(hidden_top: str) -> HidingNumbers:
    """What hiding half of the look did to some picture."""
    return HidingNumbers(
        deletion_auc=0.3,
        insertion_auc=0.8,
        srg=0.5,
        comprehensiveness=0.4,
        sufficiency=0.1,
        flip_fraction=0.5,
        look_evidence_spearman=0.6,
        hidden_top=hidden_top,
        hidden_p=0.51,
        kept_p=0.9,
        random_hidden_p=0.72,
    )


def draw_photo(file: str) -> Image.Image:
    """A small picture in a colour of its own."""
    return Image.new("RGB", (60, 40), (len(file) * 7 % 256, 120, 90))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index.html of a labelled report of 60 pictures."""
    return write_report(tmp_path_factory.mktemp("report") / "report", invent_content(), open_photo=draw_photo)


@pytest.fixture(scope="session")
def browser(launch_chromium: Callable[..., Browser]) -> Iterator[Browser]:
    """Debian's chromium, started once."""
    started = launch_chromium("--disable-gpu", "--disable-dev-shm-usage")
    yield started
    started.close()


@dataclass
class Visit:
    """An opened report, with everything the browser complained of or asked for."""

    page: Page
    index: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        """Load the report at an address such as "#gallery?show=wrong" and wait until it is drawn."""
        self.page.goto(self.index.as_uri() + address)
        self.page.wait_for_selector("html.ready")

    def go(self, address: str) -> None:
        """Go to another address of the loaded report and wait until it is drawn."""
        self.page.evaluate(
            """(address) => location.hash === address ? null : new Promise((done) => {
              addEventListener("hashchange", () => requestAnimationFrame(done), { once: true });
              location.hash = address;
            })""",
            address,
        )

    def shape(self) -> str:
        """Every element with the names of its attributes, as nested text: what hostile text must not change."""
        expect(self.page.locator("head > script[src]")).to_have_count(0)  # no chunk is on its way
        return self.page.evaluate(
            """() => {
              // A canvas has a size once it is painted, which takes its time.
              const names = (e) => (e.localName === "canvas" ? ["canvas"] : e.getAttributeNames().sort());
              const shape = (e) => e.localName + "[" + names(e) + "]("
                + [...e.children].map(shape).join(" ") + ")";
              return shape(document.documentElement);
            }"""
        )


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens a report in a fresh, offline context; at the end nothing may have been complained of or asked for."""
    contexts, visits = [], []

    def open_report(index: Path, address: str = "", *, ready: bool = True, **options: object) -> Visit:
        context = browser.new_context(offline=True, **options)
        context.set_default_timeout(15_000)
        page = context.new_page()
        seen = Visit(page, index)
        page.on("console", lambda m: seen.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: seen.requests.append(request.url))
        contexts.append(context)
        visits.append(seen)
        if ready:
            seen.open(address)
        else:
            page.goto(index.as_uri() + address)
        return seen

    yield open_report
    for context in contexts:
        context.close()
    for seen in visits:
        assert seen.complaints == []
        assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:", "about:"))] == []


@pytest.fixture(scope="session")
def new_desk() -> Callable[..., Desk]:
    """Makes the desk of a report's content."""
    return invent_desk


@pytest.fixture(scope="session")
def invent() -> Callable[..., ReportContent]:
    """`invent_content`, for tests that need another report."""
    return invent_content


@pytest.fixture(scope="session")
def photo() -> Callable[[str], Image.Image]:
    """`draw_photo`, the open_photo of these reports."""
    return draw_photo

"""Protections removed one at a time, each in a copy of the package: a test must fail for every one of them.

    python tests/harness/protections.py            # all
    python tests/harness/protections.py fsync sha  # those whose names hold these words

Prints a row of Markdown for each, and exits with 1 where a protection was not missed, or where the tests fail with all
of them in place.
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from trials import table

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 300  # seconds for the tests of one: without some a test never ends


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What protects: `old` in `file`, exactly once there; `new` stands there without it; `tests` must miss it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


PROTECTIONS = (
    Protection(
        name="fsync before the rename",
        file="files/atomic.py",
        old="                sync(part)\n",
        new="                pass\n",
        tests="tests/files/test_atomic.py::test_the_disk_holds_the_bytes_before_the_name_changes",
    ),
    Protection(
        name="the rename itself",
        file="files/atomic.py",
        old='    part = path.with_name(f".{uuid4().hex[:12]}.part{path.suffix}")\n',
        new="    part = path\n",
        tests="tests/files/test_atomic.py",
    ),
    Protection(
        name="disarmed cells",
        file="files/atomic.py",
        old="""    return f"'{cell}" if isinstance""",
        new="""    return cell if isinstance""",
        tests="tests/files/test_atomic.py",
    ),
    Protection(
        name="sha256 of stored weights",
        file="models/weights.py",
        old="    if (found := sha256_of(path)) != record.weights_sha256:\n",
        new="    if (found := record.weights_sha256) != record.weights_sha256:\n",
        tests="tests/models/test_weights.py::test_a_flipped_byte_in_the_stored_weights_is_noticed_at_use",
    ),
    Protection(
        name="sha256 of a download",
        file="models/weights.py",
        old="    if expected and digest != expected:\n",
        new="    if False:\n",
        tests="tests/models/test_weights.py::test_a_second_download_with_another_hash_is_refused",
    ),
    Protection(
        name="sha256 of a checkpoint",
        file="training/checkpoint.py",
        old="""        if (found := sha256_of(path / name)) != facts["sha256"]:\n""",
        new="""        if (found := facts["sha256"]) != facts["sha256"]:\n""",
        tests="tests/training/test_checkpoint.py",
    ),
    Protection(
        name="sha256 of a run's model",
        file="runs/state.py",
        old="            if found != expected:\n",
        new="            if False:\n",
        tests="tests/runs/test_state.py",
    ),
    Protection(
        name="a checkpoint's finite tensors",
        file="training/checkpoint.py",
        old="            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):\n",
        new="            if False:\n",
        tests="tests/training/test_checkpoint.py",
    ),
    Protection(
        name="autoescape of the report",
        file="report/format.py",
        old="autoescape=select_autoescape(),",
        new="autoescape=False,",
        tests="tests/report/test_page.py tests/report/test_prediction.py tests/report/test_security.py",
    ),
    Protection(
        name="safe() for the terminal",
        file="cli/console.py",
        old="def safe(text: object) -> str:\n",
        new="def safe(text: object) -> str:\n    return str(text)\n\n\ndef _other(text: object) -> str:\n",
        tests="tests/cli/test_app.py tests/cli/test_console.py tests/cli/test_predict.py",
    ),
    Protection(
        name="largest photo, in bytes",
        file="data/load/open_image.py",
        old="        if facts.st_size > MAX_BYTES:\n",
        new="        if False:\n",
        tests="tests/data/load/test_open_image.py",
    ),
    Protection(
        name="only regular files are photos",
        file="data/load/open_image.py",
        old="        if not stat.S_ISREG(facts.st_mode):\n",
        new="        if False:\n",
        tests="tests/data/load/test_open_image.py::test_a_pipe_is_refused_without_waiting_for_it",
    ),
    Protection(
        name="weights_only",
        file="tensors/pth.py",
        old="weights_only=True",
        new="weights_only=False",
        tests="tests/models/test_unpickle.py::test_code_in_a_pickle_is_refused_and_never_run",
    ),
    Protection(
        name="memory of the reader of pickles",
        file="files/machine.py",
        old="        resource.setrlimit(kind,",
        new="        (lambda *_: None)(kind,",
        tests="tests/models/test_unpickle.py::test_a_pickle_that_asks_for_any_memory_is_refused_within_bounds",
    ),
    Protection(
        name="checks of an archive",
        file="tensors/pth.py",
        old="            _check_members(members, path)\n",
        new="",
        tests="tests/models/test_unpickle.py",
    ),
    Protection(
        name="no module from the folder of the weights",
        file="models/unpickle.py",
        old='"-P", "-m"',
        new='"-m"',
        tests="tests/models/test_unpickle.py::test_modules_beside_the_weights_are_not_imported",
    ),
    Protection(
        name="bounds of a config.json",
        file="models/build.py",
        old="    if not is_bounded(model_args):\n",
        new="    if False:\n",
        tests="tests/models/sources/test_folder.py -k out_of_bounds",
    ),
    Protection(
        name="a network no larger than its weights",
        file="models/build.py",
        old="        if min(parameters, numbers) < 0:\n",
        new="        if False:\n",
        tests="tests/models/sources/test_folder.py -k larger_backbone",
    ),
    Protection(
        name="the header of safetensors",
        file="models/build.py",
        old="    if size > _HEADER_BYTES:\n",
        new="    if False:\n",
        tests="tests/models/sources/test_folder.py -k header_out_of",
    ),
    Protection(
        name="recipes without aliases",
        file="recipe/recipe_yaml.py",
        old="        if self.check_event(yaml.AliasEvent):\n",
        new="        if False:\n",
        tests="tests/recipe/test_recipe_yaml.py",
    ),
    Protection(
        name="regular files only",
        file="files/reading.py",
        old="        if not stat.S_ISREG(facts.st_mode):\n",
        new="        if facts is None:\n",
        tests="tests/files/test_reading.py -k what_never_ends",
    ),
    Protection(
        name="a worker's place is taken",
        file="data/load/loaders.py",
        old="                if deaths == _DEATHS:\n",
        new="                if deaths:\n",
        tests="tests/data/load/test_loaders.py",
    ),
    Protection(
        name="half a step is not done again",
        file="training/learner.py",
        old='            message = f"the memory ran out while step {step} changed the weights"\n',
        new='            message = self._learn(batch, loss, outputs, photos=photos, step=step) or ""\n',
        tests="tests/training/test_learner.py -k runs_out_while",
    ),
    Protection(
        name="a request to stop is no Exception",
        file="errors.py",
        old="class StoppedError(BaseException):",
        new="class StoppedError(Exception):",
        tests="tests/data/load/test_open_image.py::test_a_request_to_stop_is_no_damage",
    ),
    Protection(
        name="a signal that a library swallowed comes in the end",
        file="cli/app.py",
        old="        if received:\n            raise StoppedError",
        new="        if False:\n            raise StoppedError",
        tests="tests/cli/test_app.py::test_no_signal_is_swallowed",
    ),
    Protection(
        name="libraries save in memory",
        file="files/atomic.py",
        old="        part.write_bytes(content.getbuffer())\n",
        new="        with part.open('wb') as file:\n            write(file)\n",
        tests="tests/files/test_atomic.py::test_a_full_disk_is_told_alike_whichever_library_saves",
    ),
    Protection(
        name="no advice of torch's",
        file="tensors/pth.py",
        old="    if called := _foreign_names(path):\n",
        new="    if called := [str(error)]:\n",
        tests="tests/models/test_unpickle.py::test_a_broken_pickle_is_refused_without_advice",
    ),
    Protection(
        name="standard output in any encoding",
        file="cli/console.py",
        old='            stream.reconfigure(errors="backslashreplace")\n',
        new="            pass\n",
        tests="tests/cli/test_console.py::test_what_the_encoding_lacks_is_written_by_its_number",
    ),
    Protection(
        name="words for memory that ran out",
        file="training/device.py",
        old="any(word in str(error).lower() for word in _OUT_OF_MEMORY)",
        new='"can\'t allocate memory" in str(error)',
        tests="tests/training/test_device.py::test_running_out_of_memory_is_told_from_other_errors",
    ),
    Protection(
        name="bad steps name files",
        file="training/fit.py",
        old="files[index] if files else str(index)",
        new="str(index)",
        tests="tests/training/test_fit.py::test_bad_steps_name_files",
    ),
    Protection(
        name="JSON of any depth",
        file="files/reading.py",
        old="    except RecursionError as error:\n",
        new="    except KeyError as error:\n",
        tests="tests/files/test_reading.py::test_deep_json_is_refused",
    ),
    Protection(
        name="a run that nobody holds is not running",
        file="stages/runs.py",
        old='record.status == "running" and not is_held(run.root)',
        new="False",
        tests="tests/cli/test_runs.py::test_a_run_that_nobody_holds_is_not_running",
    ),
    Protection(
        name="what takes much is cut apart",
        file="data/boxes/crops.py",
        old="(_cut_apart if takes_much_memory(path) else _cut)",
        new="_cut",
        tests="tests/data/boxes/test_crops.py",
    ),
    Protection(
        name="processes do not outlive the program",
        file="files/child.py",
        old="    atexit.register(process.kill)  #",
        new="    #",
        tests="tests/files/test_child.py",
    ),
    Protection(
        name="leftovers are swept",
        file="models/weights.py",
        old="""def _sweep(key: str) -> None:\n""",
        new="""def _sweep(key: str) -> None:\n    return\n\n\ndef _nobody(key: str) -> None:\n""",
        tests="tests/models/test_weights.py -k what_killed",
    ),
    Protection(
        name="size of a download",
        file="models/download.py",
        old="        if size and not self.least <= size <= self.most:\n",
        new="        if False:\n",
        tests="tests/models/test_download.py",
    ),
    Protection(
        name="redirects without encryption",
        file="models/download.py",
        old='new.scheme != "https"',
        new="False",
        tests="tests/models/test_download.py",
    ),
    Protection(
        name="a writer is elected",
        file="models/download.py",
        old="        lock.acquire()\n",
        new="        pass\n",
        tests="tests/models/test_weights.py -k one_process",
    ),
    *(
        Protection(
            name=f"the gate of exports: {what}",
            file="metrics/parity.py",
            old=f"    if {condition}:",
            new="    if False:",
            tests="tests/metrics/test_parity.py",
        )
        for what, condition in (
            ("decisions", "len(other)"),
            ("probabilities", "not difference <= TOLERANCE"),
            ("maps", "not correlation >= LEAST_CORRELATION"),
            ("distances", "not apart <= UNLIKE"),
        )
    ),
    *(
        Protection(
            name=f"the gate of exports: {what}",
            file="stages/export.py",
            old=old,
            new=new,
            tests="tests/stages/test_export.py",
        )
        for what, old, new in (
            ("classes", '        if set(facts["classes"]) != set(config.classes):', "        if False:"),
            ("batches of 1", "BATCHES = (1, 2, 7)", "BATCHES = (2, 7)"),
            ("batches of 2", "BATCHES = (1, 2, 7)", "BATCHES = (1, 7)"),
            ("batches of 7", "BATCHES = (1, 2, 7)", "BATCHES = (1, 2)"),
            ("a second size", "*_resize_some(own[:_RESIZED], Path(folder))", ""),
            ("as many answers as photos", "if asked != got), None):", "if False), None):"),
            ("the refusal", "        if parity.problems:", "        if False:"),
        )
    ),
)


def remove(protection: Protection, package: Path) -> None:
    """Take it out of the copy; refused where the code has changed since."""
    path = package / protection.file
    text = path.read_text(encoding="utf-8")
    if text.count(protection.old) != 1:
        raise SystemExit(f"{protection.name}: {protection.file} has it {text.count(protection.old)} times, not once")
    path.write_text(text.replace(protection.old, protection.new), encoding="utf-8")


def run_tests(words: str, home: Path) -> tuple[int, str]:
    """pytest's exit code for these tests with the package in `home`, and its last line."""
    environment = os.environ | {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1"}
    pytest = (sys.executable, "-P", "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider")
    command = [*pytest, *words.split()]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return 1, "did not end"
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    last = failed[0].partition(" - ")[0].rpartition("::")[2] if failed else done.stdout.strip().rpartition("\n")[2]
    return done.returncode, last


def main() -> None:
    """Remove what the command line names, one at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--without-baseline", action="store_true", help="do not run the tests with everything in place")
    arguments = parser.parse_args()
    chosen = [one for one in PROTECTIONS if not arguments.words or any(word in one.name for word in arguments.words)]
    rows, wrong = [], 0
    with TemporaryDirectory(prefix="pcn-protections-") as folder:
        home = Path(folder)
        (home / "recipes").symlink_to(ROOT / "recipes")

        def copy() -> Path:
            shutil.rmtree(home / "pcn_cli", ignore_errors=True)
            return shutil.copytree(ROOT / "pcn_cli", home / "pcn_cli", ignore=shutil.ignore_patterns("__pycache__"))

        if not arguments.without_baseline:
            copy()
            for words in dict.fromkeys(one.tests for one in chosen):
                code, last = run_tests(words, home)
                wrong += code != 0
                rows += [("(all in place)", words, last)] if code else []
        for one in chosen:
            remove(one, copy())
            code, last = run_tests(one.tests, home)
            missed = code == 1
            wrong += not missed
            rows.append((one.name, "missed" if missed else "**not missed**", last))
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(("protection removed", "", "the test that fails"), rows))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

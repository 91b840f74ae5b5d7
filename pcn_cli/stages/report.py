"""Report: the files of a run as pages to look at. Needs no torch, unless new images are to be predicted first."""

from pathlib import Path

from pcn_cli.data.load.open_image import open_photo
from pcn_cli.errors import RecipeError
from pcn_cli.files.locks import hold_folder
from pcn_cli.recipe.arguments import checked
from pcn_cli.report.single import MANY_BYTES, write_single_report
from pcn_cli.report.write import write_report
from pcn_cli.runs.rundir import RunDir, open_run
from pcn_cli.runs.state import read_record, recording_stage, require
from pcn_cli.runs.store import read_recipe
from pcn_cli.stages.callback import Callback
from pcn_cli.stages.report_content import gather_content


@checked
def report(
    run: str | Path | None = None,
    *,
    images: str | Path | None = None,
    output: str | Path | None = None,
    device: str | None = None,
    single_file: bool = False,
    callback: Callback | None = None,
) -> Path:
    """The path of the report's page, written into the run; new `images` are first predicted into a run of their own.

    With `single_file` it is one file that holds its data and pictures itself; the folder of the report stays as it is.

    Raises:
        RunError: there is no such run, or it was never evaluated.
        RecipeError: a single file would be too large, or an argument has no effect.
    """
    callback = callback or Callback()
    here = open_run(None if run is None else Path(run))
    if images is not None:
        from pcn_cli.stages.predict_run import predict_into_run

        here = predict_into_run(here, Path(images), output=output, device=device, callback=callback)
    else:
        for flag, value in (("--output", output), ("--device", device)):
            if value is not None:
                raise RecipeError(f"{flag} has no effect without --images", "add --images DIR")
    with hold_folder(here.root):
        return report_run(here, single_file=single_file, callback=callback)


def report_run(run: RunDir, *, callback: Callback, single_file: bool = False) -> Path:
    """The path of the report's page; the caller holds the run."""
    require(run, run.predictions, f"measure it with `pcn evaluate {run.root}`")
    recipe = read_recipe(run)
    root = Path(read_record(run).photos)
    content = gather_content(run)
    name, page = ("report-file", run.report_file) if single_file else ("report", run.report / "index.html")
    write, place = (write_single_report, run.report_file) if single_file else (write_report, run.report)
    with recording_stage(run, name, (page,)):
        write(
            place,
            content,
            open_photo=lambda file: open_photo(root / file),
            thumbnail=recipe.report.thumbnail,
            on_picture=lambda done, total: callback.on_progress("writing the report", done, total),
        )
    if single_file and (size := page.stat().st_size) > MANY_BYTES:
        callback.on_note(
            f"{page.name} has {size / 1e6:.1f} MB, which some mail programs refuse; the folder report/ loads faster"
        )
    return page

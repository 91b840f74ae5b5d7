"""model/README.md: the model card, so that a model folder that is sent on tells what it was measured to do."""

from pathlib import Path

from pcn_cli.files.atomic import write_text
from pcn_cli.report.model_card import write_card
from pcn_cli.runs.rundir import RunDir
from pcn_cli.runs.state import read_record
from pcn_cli.stages.report_content import gather_figures


def write_model_card(run: RunDir) -> None:
    """Put the card into the run's model folder, as its files say; nothing where the model is another run's."""
    if not run.model_config.is_file():
        return
    write_text(run.model_card, write_card(gather_figures(run), photos=Path(read_record(run).photos).name))

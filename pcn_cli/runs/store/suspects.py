"""suspects.csv: photos whose label may be wrong, the most suspect first."""

from collections.abc import Sequence

from pcn_cli.files.atomic import read_csv, write_csv
from pcn_cli.records.predictions import Suspect
from pcn_cli.runs.rundir import RunDir


def write_suspects(run: RunDir, suspects: Sequence[Suspect]) -> None:
    """Put `suspects` into the run."""
    write_csv(run.suspects, Suspect.names(), [suspect.cells() for suspect in suspects])


def read_suspects(run: RunDir) -> tuple[Suspect, ...]:
    """What `write_suspects` put into the run; none where nobody looked."""
    if not run.suspects.is_file():
        return ()
    return tuple(Suspect.from_cells(cells) for cells in read_csv(run.suspects))

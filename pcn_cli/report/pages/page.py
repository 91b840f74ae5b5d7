"""What a page of the report is."""

from collections.abc import Callable
from dataclasses import dataclass

from pcn_cli.report.view_model import Draft


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: its address, its heading, templates/`name`.html, and the values that template is given.

    `view` gives None where the report has nothing for this page; it is then left out. A page that is not `listed` has
    no place in the navigation.
    """

    name: str
    title: str
    view: Callable[[Draft], dict[str, object] | None]
    listed: bool = True

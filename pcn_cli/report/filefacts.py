"""What is known of a picture's file, in words."""

from pcn_cli.report.content import ReportContent
from pcn_cli.report.format import clean
from pcn_cli.report.rows import Row


def file_facts(row: Row, content: ReportContent) -> list[tuple[str, str]]:
    """Pairs of a fact's name and its words, for the view of one picture."""
    facts = []
    photo = content.scan.files.get(row.source) if content.scan else None
    look = content.looks.get(row.source)
    if photo is not None:
        facts.append(("Pixels", f"{photo.width:,} × {photo.height:,}{f', {photo.mode}' if photo.mode else ''}"))
        facts.append(("SHA-256", photo.sha256[:12]))
        if photo.group:
            facts.append(("Group", clean(photo.group)))
    elif look is not None:
        facts.append(("Pixels", f"{look.placement.width:,} × {look.placement.height:,}"))
    return facts

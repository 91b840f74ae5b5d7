"""Desk: photos to decide about one by one, by keys; what was decided goes out as a table for `pcn finetune`."""

from pcn_cli.records.change import Change
from pcn_cli.records.desk import Card
from pcn_cli.report.format import clean, display_names, hide_paths
from pcn_cli.report.view_model import ReportView


def view_desk(report: ReportView) -> dict[str, object] | None:
    """The values of templates/desk.html; None where there is nothing to decide about and nothing was."""
    desk, change = report.content.desk, report.content.artifacts.find(Change)
    if desk is None and change is None:
        return None
    cards = desk.cards if desk else ()
    return {
        "cards": [
            (file, clean(card.label), clean(card.looks_like), card.why, report.desk_pictures.get(card.file, ""))
            for file, card in zip(display_names([card.file for card in cards]), cards, strict=True)
        ],
        "labelled": any(card.label for card in cards),
        "more": desk.more if desk else 0,
        "command": hide_paths(desk.command) if desk else "",
        "change": change,
    }


def desk_data(report: ReportView) -> dict[str, object] | None:
    """The content of data/desk.js: what the page shows of each photo, and what the table says of it."""
    desk = report.content.desk
    if desk is None:
        return None
    names = {name: place for place, name in enumerate(desk.classes)}
    return {
        "classes": [clean(name) for name in desk.classes],
        "folder": clean(desk.folder),
        "cards": [_card(card, names, report) for card in desk.cards],
    }


def _card(card: Card, names: dict[str, int], report: ReportView) -> dict[str, object]:
    (shown,) = display_names([card.file])
    return {
        "file": clean(card.file),
        "shown": shown,
        "sha256": card.sha256,
        "part": card.split,
        "label": names.get(card.label, -1),
        "looks": names.get(card.looks_like, -1),
        "why": card.why,
        "p": [None if p is None else round(p, 4) for p in (card.p_label, card.p_looks_like)],
        "picture": report.desk_pictures.get(card.file, ""),
        "near": [
            [names.get(one.label, -1), report.desk_pictures[one.file]]
            for one in card.near
            if one.file in report.desk_pictures
        ],
    }

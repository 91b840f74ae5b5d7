"""A photo's labels as one text: several names with the separator between them, in one order; "" for none."""

from collections.abc import Iterable

SEPARATOR = ";"
SEVERAL = "labels"  # the column of a table that gives a photo several labels


def join_labels(names: Iterable[str]) -> str:
    """The names as one text, each once, sorted: equal sets give equal texts.

    Raises:
        ValueError: a name holds the separator or is empty.
    """
    own = sorted(set(names))
    wrong = next((name for name in own if not name or SEPARATOR in name), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} cannot be one of several labels: it is empty or holds {SEPARATOR!r}")
    return SEPARATOR.join(own)


def split_labels(text: str, *, multi_label: bool) -> tuple[str, ...]:
    """The names in `text`: one, or as many as `join_labels` was given where photos have several labels."""
    if not multi_label:
        return (text,)
    return tuple(text.split(SEPARATOR)) if text else ()

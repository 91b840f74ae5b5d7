"""Where the object in a photo is: what a map can be tested against."""

from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Box:
    """The box around one object, in pixels of the upright photo, its edges included; a photo may have several."""

    file: str
    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    width: int
    height: int

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "Box":
        """The box that `cells` gave, by column name.

        Raises:
            ValueError: a cell is no whole number, or the box does not lie in the photo.
        """
        numbers = {name: int(cells[name]) for name in ("xmin", "ymin", "xmax", "ymax", "width", "height")}
        box = cls(file=cells["file"], label=cells["label"], **numbers)
        if not (0 <= box.xmin <= box.xmax < box.width and 0 <= box.ymin <= box.ymax < box.height):
            raise ValueError(f"{box.file}: the box {box.xmin},{box.ymin} – {box.xmax},{box.ymax} is not in the photo")
        return box

    def cells(self) -> tuple[str | int, ...]:
        """The box for a table."""
        return astuple(self)

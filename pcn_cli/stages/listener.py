"""What a stage tells whoever watches; the command line draws it, a Python caller may ignore it."""

from pcn_cli.records.training import EpochRow


class Listener:
    """Hears everything and does nothing; override what you want to see."""

    def on_stage(self, title: str) -> None:
        """A stage begins."""

    def on_progress(self, title: str, done: int, total: int) -> None:
        """`done` of `total` photos, or bytes, of the present work."""

    def on_step(self, step: int, total: int, loss: float, lr: float, images_per_second: float) -> None:
        """An optimizer step is done."""

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        """One of `epochs` passes is done."""

    def on_choice(self, key: str, value: object, reason: str) -> None:
        """A value was chosen automatically."""

    def on_note(self, text: str) -> None:
        """Something a person should know and need not act on."""

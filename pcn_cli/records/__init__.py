"""Facts that cross a stage or reach the disk: frozen dataclasses, standard library only."""

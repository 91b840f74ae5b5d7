"""Facts that cross a stage or reach the disk: frozen dataclasses; only attention.py holds arrays."""

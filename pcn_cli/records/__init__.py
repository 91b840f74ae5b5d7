"""Facts that cross a stage or reach the disk: frozen dataclasses of the standard library, arrays only in attention.py."""

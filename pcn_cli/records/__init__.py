"""Facts that cross a stage or reach the disk: frozen dataclasses; only AttentionMaps holds arrays."""

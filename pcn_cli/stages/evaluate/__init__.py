"""The stage of evaluation: numbers, thresholds and findings of the measured photos."""

"""The stage of evaluation: numbers with their charts and findings, thresholds."""

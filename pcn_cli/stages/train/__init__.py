"""The stage of training: candidates from frozen tokens and from tuning, the choice between them, calibration."""

"""The photos of a run: scanned, split, checked for leaks, found again unchanged."""

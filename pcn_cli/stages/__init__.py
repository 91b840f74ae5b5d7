"""The order of the work and its files: each stage reads artifacts, calls rooms and writes artifacts."""

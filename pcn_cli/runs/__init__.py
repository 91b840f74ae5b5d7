"""Where it happens: the run folder and what a run knows of itself."""

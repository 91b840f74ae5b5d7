"""One typed reader and writer for each artifact of a run."""

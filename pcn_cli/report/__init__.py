"""A run as pages to look at: one folder, opened from disk, no server, no network."""

"""A trained network at work: opened by name, asked for scores and maps, replayed."""

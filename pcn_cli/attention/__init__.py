"""Maps of where a decision came from, their numbers, and how they are drawn on the photo."""

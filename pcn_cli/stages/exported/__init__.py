"""Files that `pcn export` wrote: the program beside them, and predictions by them. Nothing here needs torch."""

"""From a folder of photos to batches: scan, split, the one image opener, exact preprocessing, augmentation, loaders."""

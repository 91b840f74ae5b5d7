"""From a folder to a list of photos with labels."""

"""Boxes around things on photos: read as tools write them, placed on their photos, cut out."""

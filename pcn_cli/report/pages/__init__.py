"""The pages of the report: one file each, listed in index.py."""

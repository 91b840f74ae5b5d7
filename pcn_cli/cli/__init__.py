"""What talks to people."""

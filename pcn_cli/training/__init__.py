"""Training: a network learns from batches; nothing here knows photos, runs or cards."""

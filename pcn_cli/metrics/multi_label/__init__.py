"""What is measured where a photo may have several labels: each class is a decision of its own."""

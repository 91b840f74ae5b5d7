"""What several rooms need of tensors: what a network offers, what a batch is, and torch's and timm's private parts."""

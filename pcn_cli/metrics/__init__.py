"""What is measured of a model, how sure the numbers are, and the figures drawn from them."""

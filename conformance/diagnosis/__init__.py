"""The explanation of failures, and the scripts that reproduce them."""

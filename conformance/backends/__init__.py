"""The shipped adapters, one module each. Importing one imports its framework; nothing else does."""

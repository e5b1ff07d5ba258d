"""The shipped adapters, one module each. Only the import of an adapter imports its framework."""

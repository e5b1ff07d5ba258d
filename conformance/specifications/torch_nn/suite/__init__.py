"""The checks of torch.nn's requirements, one module for each area."""

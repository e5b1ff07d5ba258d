"""The tests of torch.nn's requirements, a module for each area."""

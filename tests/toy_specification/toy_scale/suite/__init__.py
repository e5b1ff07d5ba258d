"""The tests of the toy specification."""

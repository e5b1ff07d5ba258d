"""The specifications that the suite tests, each in a package of its own."""

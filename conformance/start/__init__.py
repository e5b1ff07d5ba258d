"""Help with a new adapter: the commands ``init``, which writes one, and ``check``, which tries it."""

"""What a check is, how its examples are drawn and judged: knows no specification."""

"""What explains a failure, and the script that shows it."""

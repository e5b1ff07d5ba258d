"""Campaigns: runs of the profile thorough for a given time."""

"""Campaigns: the profile thorough for as long as asked."""

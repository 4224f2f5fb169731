"""Fairbook: a spot exchange that anyone can run and verify."""

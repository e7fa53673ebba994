"""Judges: text and metadata in, a verdict and its reason out (section 4.1.4 of the paper)."""

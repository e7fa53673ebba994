"""Reproduction of the paper in miniature: runs of many methods, the claims held against them, and a document."""

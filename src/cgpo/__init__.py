"""Constrained Generative Policy Optimization with a Mixture of Judges (arXiv 2409.20370)."""

"""A scalar for each response: reward models, and their calibration by a baseline response."""

"""A run's folder, its session, and how an interrupted run is resumed."""

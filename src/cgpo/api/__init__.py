"""The public functions, which the commands call and which `cgpo` exports, with the results that they return."""

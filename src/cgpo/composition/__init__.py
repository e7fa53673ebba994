"""From a configuration to the objects of a run: the only room that reads configurations."""

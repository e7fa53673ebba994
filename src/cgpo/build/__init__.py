"""From a typed configuration to the objects of a run: the only room that makes what a configuration names."""

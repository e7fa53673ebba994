"""How much memory a run will need, by part and by phase: arithmetic on what its models' configurations say."""

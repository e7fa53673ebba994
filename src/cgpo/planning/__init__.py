"""How much memory a run will need, by part and by phase, before it begins: arithmetic on what models' configurations say."""

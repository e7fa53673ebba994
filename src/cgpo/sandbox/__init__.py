"""Programs of strangers, run in isolation (bubblewrap) and tested by a process that they cannot reach."""

"""Runs untrusted programs in isolation (bubblewrap), tested by a process that they cannot reach."""

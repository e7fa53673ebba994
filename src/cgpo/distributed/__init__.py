"""Several processes: how they meet, share a batch, gather what each has found, and shard models."""

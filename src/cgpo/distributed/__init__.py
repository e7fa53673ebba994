"""Several processes that train one policy: how they meet, share a batch, add up gradients, and shard models."""

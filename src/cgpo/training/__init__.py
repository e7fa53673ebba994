"""The LightningModule, the constrained update, and everything that watches a run."""

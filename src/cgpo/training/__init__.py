"""The LightningModule, the constrained update, and the callbacks that watch a run."""

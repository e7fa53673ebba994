"""Pretrained models of any role: loading, adapting and quantizing them, and encoding text for them."""

"""Pretrained models of any role: loading, checking and quantising them."""

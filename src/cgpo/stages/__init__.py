"""The stages around CGPO: supervised fine-tuning, preferences, reward models, judge models, the DPO warm-up.

A stage is made from configuration and writes a folder once; `cgpo.stages.artifacts` keeps the folders.
"""

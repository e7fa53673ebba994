"""Data: rows of files and data sets become prompts, with the metadata that judges need, and preference pairs."""

from cgpo.data.pairs import PairFile
from cgpo.data.source import Mixture, PromptFile, PromptSource, PromptSplits
from cgpo.data.stories import StorySource

__all__ = ["Mixture", "PairFile", "PromptFile", "PromptSource", "PromptSplits", "StorySource"]

"""A judge's model behind an OpenAI-compatible endpoint: vLLM, `transformers serve`, a hosted API."""

from cgpo.judges.language_model.endpoint.backend import EndpointBackend
from cgpo.judges.language_model.endpoint.settings import Endpoint

__all__ = ["Endpoint", "EndpointBackend"]

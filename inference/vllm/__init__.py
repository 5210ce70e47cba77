"""vLLM's OpenAI-compatible servers: messages in, text out as it is written; whoever fails is left out for a while."""

from inference.vllm.client import VllmChat
from inference.vllm.endpoints import EndpointState

__all__ = ["EndpointState", "VllmChat"]

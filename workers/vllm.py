"""Starting a vLLM worker with our serving profile: the command line it is started with, and what fits its memory."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import WrongUsage

# An answer takes seconds; what is being written when a worker is told to stop may be finished.
SHUTDOWN_SECONDS = 60


class Shape(BaseModel):
    """The sizes of a Llama, as its config.json names them; the memory it takes follows from them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    tie_word_embeddings: bool

    def parameters(self) -> int:
        """How many weights the model has."""
        attention = self.hidden_size * self.head_dim * 2 * (self.num_attention_heads + self.num_key_value_heads)
        layer = attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return self.num_hidden_layers * layer + embeddings + self.hidden_size


class Serving(BaseModel):
    """How it is served; the names are those of vLLM's options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_model_len: int | None = Field(None, gt=0)
    """Tokens of a prompt and its answer together; None: as many as the model knows."""
    max_num_seqs: int = Field(64, gt=0)
    max_num_queued_reqs: int = Field(256, gt=0)
    gpu_memory_utilization: float = Field(0.90, gt=0, lt=1)
    tensor_parallel_size: int = Field(1, gt=0)
    quantization: str = ""
    weight_bytes: float = Field(2.0, gt=0)
    """Bytes of one weight as it is served: 2 for bf16, 1 for fp8, about 0.6 for four bits with their scales."""
    kv_cache_dtype: str = "auto"
    kv_bytes: float = Field(2.0, gt=0)
    """Bytes of one component of a key or a value."""


class Profile(BaseModel):
    """One model on one kind of machine: infra/vllm/*.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    shape: Shape | None = None
    serving: Serving = Serving()


@dataclass(frozen=True)
class Plan:
    """What a profile takes of the GPUs it runs on together, in bytes, and what is left for passages and answers."""

    weights: int
    kv_per_token: int
    kv_tokens: int

    def requests(self, tokens: int) -> float:
        """How many requests of so many tokens stand in the cache at once."""
        return self.kv_tokens / tokens


# What vLLM's activations and CUDA graphs take beside weights and cache; its log says the exact figure at start.
_ACTIVATION_BYTES = 2_000_000_000


def plan(profile: Profile, gpu_bytes: float) -> Plan:
    """The memory arithmetic of a profile on GPUs of this size each; no token fits where the weights leave no room.

    A token's keys and values take 2 (key, value) x layers x key-value heads x head dimension x bytes of a component.
    """
    if profile.shape is None:
        raise WrongUsage(
            "This profile has no [shape], from which its memory follows: copy it from the model's config.json."
        )
    shape, serving = profile.shape, profile.serving
    weights = round(shape.parameters() * serving.weight_bytes)
    per_token = round(2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim * serving.kv_bytes)
    room = gpu_bytes * serving.gpu_memory_utilization * serving.tensor_parallel_size
    left = room - weights - _ACTIVATION_BYTES * serving.tensor_parallel_size
    return Plan(weights, per_token, max(0, int(left // per_token)))


def read_profile(file: Path) -> Profile:
    """A profile from its file; raises `WrongUsage` naming what is wrong in it."""
    try:
        return Profile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise WrongUsage(f"{file} cannot be read ({error.strerror}); the profiles stand in infra/vllm/.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{file} is no TOML ({error}).") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise WrongUsage(f"{file} is no profile: {faults}.") from error


@dataclass(frozen=True)
class Switches:
    """What is chosen at the start, beside the profile."""

    host: str
    port: int
    name: str = ""
    """The name the model is asked for by; empty: the last part of its path."""
    loras: Sequence[str] = ()
    """Adapters as NAME=FOLDER, each a model of its own name."""
    eager: bool = False
    """No compilation: on a CPU, where starting matters more than speed."""


def command(executable: str, profile: Profile, switches: Switches) -> list[str]:
    """The command line of a worker.

    The queue is bounded, so that an overload is refused at once and answered by quotes. A batch waits behind people
    (`--scheduling-policy priority`). No request is logged. The key comes from VLLM_API_KEY, where `ps` shows it to
    nobody.
    """
    serving = profile.serving
    options: dict[str, Any] = {
        "--served-model-name": switches.name or Path(profile.model).name,
        "--host": switches.host,
        "--port": switches.port,
        "--max-num-seqs": serving.max_num_seqs,
        "--max-num-queued-reqs": serving.max_num_queued_reqs,
        "--scheduling-policy": "priority",
        "--shutdown-timeout": SHUTDOWN_SECONDS,
        "--generation-config": "vllm",
        "--kv-cache-dtype": serving.kv_cache_dtype,
        "--gpu-memory-utilization": serving.gpu_memory_utilization,
    }
    if serving.max_model_len:
        options["--max-model-len"] = serving.max_model_len
    if serving.tensor_parallel_size > 1:
        options["--tensor-parallel-size"] = serving.tensor_parallel_size
    if serving.quantization:
        options["--quantization"] = serving.quantization
    flags = ["--enable-prefix-caching", "--no-enable-log-requests", "--disable-uvicorn-access-log"]
    if switches.eager:
        flags.append("--enforce-eager")
    if switches.loras:
        flags += ["--enable-lora", "--lora-modules", *switches.loras]
    values = [part for name, value in options.items() for part in (name, str(value))]
    return [executable, "serve", profile.model, *values, *flags]


QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""Environment of a worker: it downloads nothing and reports to nobody."""

"""The command that starts a vLLM worker."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.shell import AsJson, emit, notes, say, settings
from core.errors import WrongUsage
from wiring.environment import inherited
from workers.vllm import QUIET, Profile, Switches, command, plan, read_profile

_GIGABYTE = 1e9
_TYPICAL_TOKENS = 3_000
"""Eight passages, the rules, the question and the answer."""


def vllm(
    model: Annotated[str, typer.Option(help="Folder of the weights; else the profile's.")] = "",
    profile: Annotated[Path | None, typer.Option(help="Serving profile (infra/vllm/*.toml).")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; vLLM belongs on a private network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    name: Annotated[str, typer.Option(help="Name the model is asked for by.")] = "",
    quantization: Annotated[str, typer.Option(help="How the weights are quantized, such as fp8 or awq.")] = "",
    lora: Annotated[list[str] | None, typer.Option(help="An adapter, as NAME=FOLDER; may be repeated.")] = None,
    eager: Annotated[bool, typer.Option("--eager", help="Without compilation and graphs, as on a CPU.")] = False,
    executable: Annotated[str, typer.Option(help="vLLM's command, where it has an environment of its own.")] = "vllm",
    show: Annotated[bool, typer.Option("--print", help="Print the command and stop.")] = False,
    gpu_gb: Annotated[
        float, typer.Option("--plan", metavar="GB", help="Say what fits GPUs of this size, and stop.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Start a vLLM worker with our serving profile. The key it asks for comes from FOOTNOTE_VLLM_API_KEY."""
    chosen = _chosen(profile, model, quantization)
    if gpu_gb:
        _show_plan(chosen, gpu_gb, as_json)
        return
    line = command(executable, chosen, Switches(host, port, name, tuple(lora or ()), eager))
    if show:
        emit(as_json, {"command": line}, lambda: say(shlex.join(line)))
        return
    found = shutil.which(executable)
    if found is None:
        raise WrongUsage(
            f"There is no {executable!r} here. Install vLLM in an environment of its own (docs/vllm.md) and name its "
            "command with --executable."
        )
    environment = inherited(QUIET)
    if key := settings().settings.vllm_api_key:
        environment["VLLM_API_KEY"] = key.get_secret_value()
    if "VLLM_API_KEY" not in environment:
        notes.print("No key is set (FOOTNOTE_VLLM_API_KEY): whoever reaches this address may use the model.")
    # In place of this process, so that signals reach vLLM itself and it can finish what it writes.
    os.execve(found, line, environment)  # noqa: S606 - the operator's own vLLM


def _chosen(file: Path | None, model: str, quantization: str) -> Profile:
    if file is None and not model:
        raise WrongUsage("Name a folder with weights (--model), or a profile that does (--profile infra/vllm/….toml).")
    profile = read_profile(file) if file else Profile(model=model)
    serving = profile.serving
    if quantization:
        serving = serving.model_copy(update={"quantization": quantization})
    return profile.model_copy(update={"model": model or profile.model, "serving": serving})


def _show_plan(profile: Profile, gpu_gb: float, as_json: bool) -> None:
    found = plan(profile, gpu_gb * _GIGABYTE)
    document = {
        "weights_gb": round(found.weights / _GIGABYTE, 1),
        "kv_bytes_per_token": found.kv_per_token,
        "kv_tokens": found.kv_tokens,
        f"requests_of_{_TYPICAL_TOKENS}_tokens": int(found.requests(_TYPICAL_TOKENS)),
    }

    def render() -> None:
        gpus, share = profile.serving.tensor_parallel_size, profile.serving.gpu_memory_utilization
        say(f"{profile.model} on {gpus} x {gpu_gb:g} GB, of which vLLM takes {share:.0%}")
        say(f"  weights     {found.weights / _GIGABYTE:8.1f} GB")
        say(f"  a token     {found.kv_per_token:8,} bytes of keys and values")
        say(f"  room for    {found.kv_tokens:8,} tokens, or {found.requests(_TYPICAL_TOKENS):.0f} questions at once")
        if not found.kv_tokens:
            say("The weights leave no room: take more GPUs (tensor_parallel_size), or quantized weights.")

    emit(as_json, document, render)

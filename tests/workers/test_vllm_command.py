"""Starting vLLM workers: what the profiles promise of memory, and how a worker is started and stopped."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from vllm_server import executable, running

from core.errors import WrongUsage
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from inference.vllm import VllmChat
from workers.vllm import QUIET, SHUTDOWN_SECONDS, Profile, Serving, Shape, Switches, command, plan, read_profile

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted((ROOT / "infra" / "vllm").glob("*.toml"))
FOOTNOTE = Path(sys.executable).with_name("footnote")


def shape_of(profile: Profile) -> Shape:
    assert profile.shape is not None
    return profile.shape


def options(line: list[str]) -> dict[str, str]:
    """The options of a command line that have a value."""
    return {one: value for one, value in itertools.pairwise(line) if one.startswith("--")}


# --- memory


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_a_profile_counts_the_parameters_that_the_model_has(file: Path) -> None:
    """Reference: the same shape built by transformers, on a device that holds no data."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = shape_of(read_profile(file))
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**shape.model_dump()))
        model.tie_weights()

    assert shape.parameters() == model.num_parameters()


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_the_arithmetic_shown_in_a_profile_is_what_the_plan_says(file: Path) -> None:
    text, profile = file.read_text(encoding="utf-8"), read_profile(file)
    gpus = profile.serving.tensor_parallel_size

    weights = re.search(r"weights +([\d,]+) parameters x ([\d.]+) bytes = ([\d.]+) GB", text)
    assert weights
    assert number(weights[1]) == shape_of(profile).parameters()
    assert float(weights[2]) == profile.serving.weight_bytes
    assert float(weights[3]) == round(plan(profile, 80e9).weights / 1e9, 1)
    token = re.search(r"a token .* = ([\d,]+) bytes", text)
    assert token and number(token[1]) == plan(profile, 80e9).kv_per_token
    rows = re.findall(r"#   (\d+) x +(\d+) GB .*: (does not fit|[\d,]+ tokens)", text)
    assert {int(size) for _, size, _ in rows} == {24, 48, 80, 141}
    for count, size, fits in rows:
        tokens = plan(profile, float(size) * 1e9).kv_tokens
        assert int(count) == gpus
        assert fits == (f"{tokens:,} tokens" if tokens else "does not fit")


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_every_profile_holds_a_question_of_full_length_on_some_gpu() -> None:
    assert len(PROFILES) >= 5
    for file in PROFILES:
        profile = read_profile(file)
        assert profile.serving.max_model_len
        assert plan(profile, 141e9).requests(profile.serving.max_model_len) > 1


def test_what_one_gpu_does_not_hold_two_may() -> None:
    profile = read_profile(ROOT / "infra" / "vllm" / "llama-3.1-8b.toml")
    twice = profile.model_copy(update={"serving": profile.serving.model_copy(update={"tensor_parallel_size": 2})})

    assert plan(profile, 16e9).kv_tokens == 0 < plan(twice, 16e9).kv_tokens


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model = ", "no TOML"),
        ("[serving]\n", "model: Field required"),
        ('model = "m"\n[serving]\nmax_num_seq = 3\n', "serving.max_num_seq: Extra"),
        ('model = "m"\n[serving]\ngpu_memory_utilization = 1.5\n', "serving.gpu_memory_utilization"),
    ],
)
def test_a_wrong_profile_is_refused_and_says_where(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "profile.toml").write_text(text)
    with pytest.raises(WrongUsage, match=re.escape(told)):
        read_profile(tmp_path / "profile.toml")


# --- the command line


def test_a_worker_bounds_its_queue_shares_prefixes_logs_no_request_and_may_finish() -> None:
    line = command("vllm", Profile(model="/model"), Switches("127.0.0.1", 8000))

    found = options(line)
    assert line[:3] == ["vllm", "serve", "/model"]
    assert int(found["--max-num-queued-reqs"]) > int(found["--max-num-seqs"]) > 0
    assert found["--scheduling-policy"] == "priority"
    assert found["--shutdown-timeout"] == str(SHUTDOWN_SECONDS)
    assert {"--enable-prefix-caching", "--no-enable-log-requests", "--disable-uvicorn-access-log"} <= set(line)
    assert not any("key" in part.lower() for part in line)  # `ps` shows a command line to everybody


def test_quantization_several_gpus_and_adapters_are_switched_on_by_name() -> None:
    serving = Serving(quantization="fp8", tensor_parallel_size=4, max_model_len=4096)
    line = command("vllm", Profile(model="/m", serving=serving), Switches("h", 1, "name", ("a=/a", "b=/b")))

    found = options(line)
    assert (found["--quantization"], found["--tensor-parallel-size"], found["--max-model-len"]) == ("fp8", "4", "4096")
    assert found["--served-model-name"] == "name"
    assert line[line.index("--lora-modules") + 1 :][:2] == ["a=/a", "b=/b"] and "--enable-lora" in line
    sparing = Profile(model="/m", serving=Serving(gpu_memory_utilization=0.4))
    assert options(command("vllm", sparing, Switches("h", 1, eager=True)))["--gpu-memory-utilization"] == "0.4"
    plain = command("vllm", Profile(model="/m"), Switches("h", 1))
    assert not {"--quantization", "--tensor-parallel-size", "--max-model-len", "--enable-lora"} & set(plain)


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_vllm_itself_knows_every_option_of_a_profile(file: Path) -> None:
    if not executable().exists():
        pytest.skip(f"no vLLM at {executable()}: `make test` installs it")
    known = vllm_options()
    line = command("vllm", read_profile(file), Switches("127.0.0.1", 8000, "n", ("a=/a",), eager=True))

    assert {one for one in line if one.startswith("--")} <= known


def vllm_options() -> set[str]:
    """What vLLM's own sources declare: asking its parser takes longer than all of these tests."""
    package = next((executable().parents[1] / "lib").glob("python3*/site-packages/vllm"))
    sources = [package / "engine" / "arg_utils.py", package / "entrypoints" / "launchers" / "cli_args.py"]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    fields = re.findall(r"^    (\w+): ", text, re.M)
    named = set(re.findall(r'"(--[\w-]+)"', text)) | {f"--{name.replace('_', '-')}" for name in fields}
    return named | {f"--no-{name.removeprefix('--')}" for name in named}


def printed(*arguments: str) -> str:
    done = subprocess.run([FOOTNOTE, "vllm", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_plan_of_a_profile_is_printed_for_a_gpu_of_any_size() -> None:
    found = json.loads(printed("--profile", str(ROOT / "infra/vllm/llama-3.1-8b.toml"), "--plan", "80", "--json"))

    assert found["kv_bytes_per_token"] == 2 * 32 * 8 * 128 * 2
    assert found["weights_gb"] == 16.1 and found["kv_tokens"] > 400_000


def test_compose_starts_vllm_as_footnote_vllm_would() -> None:
    compose: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["vllm"]
    profile = str(ROOT / "infra" / "vllm" / "llama-3.1-8b.toml")
    line = shlex.split(printed("--profile", profile, "--model", "/model", "--host", "0.0.0.0", "--print"))

    # The image's own entry point is `vllm serve`.
    assert service["command"] == line[2:]
    assert {name: service["environment"][name] for name in QUIET} == QUIET
    assert int(service["stop_grace_period"].removesuffix("s")) > SHUTDOWN_SECONDS


# --- a real worker


@pytest.fixture
def worker(tiny_llama: Path, tmp_path: Path) -> Iterator[Any]:
    """A worker of its own, with an adapter, that a test may end."""
    if not executable().exists():
        pytest.skip(f"no vLLM at {executable()}: `make test` installs it")
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    with running(tiny_llama, tmp_path / "log", "--lora", f"legal={adapter}") as server:
        yield server


def make_adapter(model: Path, folder: Path) -> Path:
    """A LoRA adapter (Hu et al., 2021) of rank 8 on the query projections, with random weights."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((model / "config.json").read_text())
    torch.manual_seed(1)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        weights[f"{name}.lora_A.weight"] = torch.randn(8, config["hidden_size"])
        weights[f"{name}.lora_B.weight"] = torch.randn(config["hidden_size"], 8)
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    described = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**described, "base_model_name_or_path": str(model)}))
    return folder


def test_a_worker_serves_its_adapters_and_finishes_what_it_writes_when_told_to_stop(worker: Any) -> None:
    base, adapted = VllmChat([worker.url], worker.key), VllmChat([worker.url], worker.key, "legal")
    try:
        assert text(base) != text(adapted)  # other weights, other words
        # Held to a form in which it cannot end by itself before.
        pieces = adapted.stream([ChatMessage("user", "Hello.")], ChatRequest(600, 200, 100, regex="[a-z ]{2000}"))
        begun = next(pieces)
        os.kill(worker.pid, signal.SIGTERM)
        *_, usage = pieces

        assert isinstance(begun, TextDelta)
        assert isinstance(usage, Usage) and usage.completion_tokens == 600
        assert ended(worker.pid)
    finally:
        base.close()
        adapted.close()


def text(chat: VllmChat) -> str:
    pieces = chat.stream([ChatMessage("user", "Hello.")], ChatRequest(40, 200, 100))
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def ended(pid: int) -> bool:
    """Whether the process, a child of ours, ends in time by itself."""
    waited = threading.Event()

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        waited.set()

    threading.Thread(target=wait, daemon=True).start()
    return waited.wait(SHUTDOWN_SECONDS)

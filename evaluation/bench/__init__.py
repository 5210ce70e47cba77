"""Speed: systems and workloads in, figures side by side out."""

from collections.abc import Callable

from evaluation.bench.answer import run_answer
from evaluation.bench.audit import run_audit
from evaluation.bench.embed import run_embed
from evaluation.bench.report import BenchReport
from evaluation.bench.search import run_search

BENCHES: dict[str, Callable[[], BenchReport]] = {
    "embed": run_embed,
    "search": run_search,
    "audit": run_audit,
    "answer": run_answer,
}
"""Each bench by name."""

"""Speed: systems and workloads in, figures side by side out."""

from collections.abc import Callable

from evaluation.bench.access import run_access
from evaluation.bench.answer import run_answer
from evaluation.bench.audit import run_audit
from evaluation.bench.embed import run_embed
from evaluation.bench.engines import run_engines
from evaluation.bench.filtered import run_filtered
from evaluation.bench.ingest import run_ingest
from evaluation.bench.lexical import run_lexical
from evaluation.bench.publish import run_publish
from evaluation.bench.ranking import run_ranking
from evaluation.bench.readers import run_readers
from evaluation.bench.report import BenchReport
from evaluation.bench.scan import run_scan
from evaluation.bench.search import run_search

BENCHES: dict[str, Callable[[], BenchReport]] = {
    "embed": run_embed,
    "search": run_search,
    "scan": run_scan,
    "lexical": run_lexical,
    "access": run_access,
    "audit": run_audit,
    "answer": run_answer,
    "ingest": run_ingest,
    "filtered": run_filtered,
    "ranking": run_ranking,
    "readers": run_readers,
    "publish": run_publish,
    "engines": run_engines,
}
"""Each bench by name."""

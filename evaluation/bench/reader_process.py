"""One reader among many: a process that searches a home from when it is told to begin.

Run as `python -m evaluation.bench.reader_process HOME QUERIES START RESULT THREADS SECONDS NUMBER`: it is ready when
`RESULT` has a neighbour `.ready`, and begins when the file `START` is there.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from core.settings import Settings
from evaluation.bench.search import EVERYTHING
from wiring.home import Home
from wiring.lifecycle import open_home

_K = 10


def main(arguments: Sequence[str]) -> None:
    """Search with so many threads for so long, then tell each search's milliseconds and every error."""
    home_folder, queries, start, result, threads, seconds, number = arguments
    asked: list[str] = json.loads(Path(queries).read_text("utf-8"))
    spent: list[float] = []
    errors: list[str] = []
    with open_home(Settings(home=Path(home_folder))) as home:
        home.warm()
        home.searcher.search(asked[0], EVERYTHING, _K)
        Path(result).with_suffix(".ready").touch()
        while not Path(start).exists():
            time.sleep(0.01)
        busy, until = time.process_time(), time.monotonic() + float(seconds)
        workers = [
            threading.Thread(target=_search, args=(home, asked, int(number) + 31 * at, until, spent, errors))
            for at in range(int(threads))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        busy = time.process_time() - busy
    Path(result).write_text(json.dumps({"ms": spent, "errors": errors, "processor_s": busy}), "utf-8")


def _search(home: Home, asked: Sequence[str], at: int, until: float, spent: list[float], errors: list[str]) -> None:
    while time.monotonic() < until:
        at += 1
        began = time.perf_counter()
        try:
            # The number makes it a question that nobody asked before: vectors of earlier ones are remembered.
            found, _ = home.search.search(f"{asked[at % len(asked)]} {at}", EVERYTHING, _K, "bench")
            if len(found.hits) != _K:
                errors.append(f"{len(found.hits)} hits")
        except Exception as error:  # noqa: BLE001 - that none of any kind comes is what is measured
            errors.append(repr(error)[:300])
        spent.append((time.perf_counter() - began) * 1e3)


if __name__ == "__main__":
    main(sys.argv[1:])

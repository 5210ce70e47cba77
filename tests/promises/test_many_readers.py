"""Processes search while another publishes and deletes: no error, nothing unreadable, no text under a wrong id."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

from living_home import HomeTemplate, LivingHome
from reading_process import CLOSED, OPEN, OTHER, READER, read, said

READERS, SEARCHES, ROUNDS = 2, 100, 3
PATIENCE_S = 60.0


def test_readers_in_other_processes_see_whole_generations_while_documents_change_and_go(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in (OPEN, CLOSED)}
    for folder in folders.values():
        folder.mkdir()
    revisions = {f"paper-{number}": 1 for number in range(6)}

    def publish(home: LivingHome) -> None:
        for (source, folder), reader in zip(folders.items(), (READER, OTHER), strict=True):
            for file in folder.iterdir():
                if file.stem not in revisions:
                    file.unlink()
            for name, revision in revisions.items():
                (folder / f"{name}.txt").write_text(said(name, revision))
            report = home.sync(folder, source=source, allow=[reader.grantee], prune="yes")
            assert not report.failures

    stop, results = tmp_path / "stop", [tmp_path / f"reader-{number}" for number in range(READERS)]
    settings = HomeTemplate.make(tmp_path, None).settings
    with LivingHome(settings) as home:
        publish(home)
        spawn = multiprocessing.get_context("spawn")
        readers = [
            spawn.Process(target=read, args=(settings, number, SEARCHES, stop, result), daemon=True)
            for number, result in enumerate(results)
        ]
        for reader in readers:
            reader.start()
        for round_number in range(ROUNDS):
            before = [_searches(result) for result in results]
            for name in sorted(revisions)[::2]:
                revisions[name] += 1
            del revisions[f"paper-{round_number}"]
            revisions[f"paper-{6 + round_number}"] = 1
            publish(home)
            until = time.monotonic() + PATIENCE_S
            while any(_searches(result) < done + 2 for result, done in zip(results, before, strict=True)):
                assert all(reader.is_alive() for reader in readers) and time.monotonic() < until
                time.sleep(0.01)
        stop.touch()
        for reader in readers:
            reader.join(PATIENCE_S)
        assert [reader.exitcode for reader in readers] == [0] * READERS

    for result in results:
        told = json.loads(result.read_text("utf-8"))
        assert told["wrong"] == []
        assert told["searches"] >= SEARCHES
        versions = {version for _, version in told["seen"]}
        assert len(versions) >= 3  # it did read while there was something new


def _searches(result: Path) -> int:
    try:
        return int(result.with_suffix(".count").read_text("ascii") or 0)
    except FileNotFoundError:
        return 0

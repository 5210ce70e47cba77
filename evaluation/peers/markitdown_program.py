"""Run by markitdown's own Python: files named on the standard input, one a line, to Markdown as it comes.

Run as `python markitdown_program.py RESULT`: `RESULT` receives a JSON line for each file, `[seconds, text]`, with null
for the text of a file that was refused. Imports nothing of ours.
"""

import json
import sys
import time
from pathlib import Path


def main(result: str) -> None:
    """Convert every file, in one process, at markitdown's defaults."""
    # Here, because our own Python has it not, and every module of ours can be imported.
    from markitdown import MarkItDown  # type: ignore[import-not-found]

    converter = MarkItDown()
    with Path(result).open("w", encoding="utf-8") as out:
        for line in sys.stdin:
            began = time.perf_counter()
            try:
                text = converter.convert(line.rstrip("\n")).text_content
            except Exception:  # noqa: BLE001 - whatever it raises, it has not read the file
                text = None
            out.write(json.dumps([time.perf_counter() - began, text]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

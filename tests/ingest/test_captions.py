"""Pictures described by a vision model: in the text, marked, citable; and no picture lost where the model fails."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from organization import counts, found
from PIL import Image
from scripted_vllm import Act, Step, refuses, scripted_vllm

from core.documents import BlockKind, Parsed
from core.errors import ModelFailed, UnreadableDocument
from core.principals import parse_grantee
from core.settings import Settings
from inference.vllm.vision import VisionModel
from ingest import captions
from ingest.captions import CaptioningParser
from ingest.parsing.markdown import parse_markdown
from ingest.parsing.wire import LENGTHS, parsed_frame, read_reply
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home

SAID = "A photograph of a red crane on the quay of Trieste."
MARKED = f"Picture, as described by the model looker: {SAID}"


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


def reply(content: object) -> bytes:
    body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Reads:
    """A parser that recognizes this text in every picture, or none."""

    def __init__(self, text: str) -> None:
        self.text = text

    def parse(self, data: bytes, name: str) -> Parsed:
        if not self.text:
            raise UnreadableDocument("empty", "No text was recognized in the picture.")
        return parse_markdown(self.text.encode())

    def close(self) -> None: ...


def looking(url: str, *, seconds: float = 5.0) -> VisionModel:
    return VisionModel(url, "looker", seconds, "k3y")


def test_a_description_follows_what_was_recognized_and_says_that_a_machine_wrote_it() -> None:
    with scripted_vllm((reply(f" {SAID}\n"),)) as server:
        parser = CaptioningParser(Reads("# Crane 7"), looking(server.url).describe, "looker")
        parsed = parser.parse(png(), "crane.png")

    assert parsed.text == f"Crane 7\n\n{MARKED}"
    last = parsed.blocks[-1]
    assert (last.kind, parsed.text[last.start : last.end]) == (BlockKind.IMAGE_TEXT, MARKED)
    assert read_back(parsed) == parsed
    request = server.bodies[0]
    assert request["model"] == "looker"
    assert request["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


def read_back(parsed: Parsed) -> Parsed:
    """What a parser process could have answered: blocks in order, text clean."""
    head, body = parsed_frame(parsed)
    return read_reply(head[LENGTHS.size :], body)


def test_a_picture_without_text_is_read_by_its_description() -> None:
    parser = CaptioningParser(Reads(""), lambda *_: SAID, "looker")
    assert parser.parse(png(), "crane.png").text == MARKED


def test_what_is_no_picture_is_never_sent() -> None:
    def describe(data: bytes, media_type: str) -> str:
        raise AssertionError(media_type)

    assert CaptioningParser(Reads("Text"), describe, "m").parse(b"# A report", "a.md").text == "Text"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refuses(500), "refused"),
        (refuses(429), "refused"),
        ((reply(None),), "broken"),
        ((reply("  "),), "broken"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html></>",), "broken"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 5242880\r\n\r\n" + b"x" * 5242880,), "broken"),
        ((Act.DROP,), "unreachable"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{", Act.STALL), "late"),
        ((Act.STALL,), "late"),
    ],
)
def test_no_failure_of_the_model_loses_a_picture(script: tuple[Step, ...], kind: str) -> None:
    with scripted_vllm(script) as server:
        model = looking(server.url, seconds=0.3 if kind == "late" else 5.0)
        with pytest.raises(ModelFailed) as failure:
            model.describe(png(), "image/png")
        parsed = CaptioningParser(Reads("Crane 7"), model.describe, "looker").parse(png(), "crane.png")
        with pytest.raises(UnreadableDocument, match=r"No text was recognized .* not described") as empty:
            CaptioningParser(Reads(""), model.describe, "looker").parse(png(), "crane.png")

    assert failure.value.kind == kind
    assert (parsed.text, empty.value.verdict) == ("Crane 7", "empty")
    assert parsed.unread == f"The picture was not described. {failure.value}"


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with scripted_vllm((Act.CUT,)) as server:
        url = server.url
    with pytest.raises(ModelFailed) as failure:
        looking(url).describe(png(), "image/png")
    assert failure.value.kind == "unreachable"


def test_a_picture_that_is_too_large_is_read_and_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "PICTURE_BYTES", 10)
    describe: Callable[[bytes, str], str] = pytest.fail
    parsed = CaptioningParser(Reads("Crane 7"), describe, "looker").parse(png(), "crane.png")
    assert (parsed.text, parsed.unread) == ("Crane 7", "The picture was not described: it is larger than 0 MiB.")


def test_a_picture_is_found_by_its_description_where_a_model_is_configured(
    home: Home, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org/quay.png").write_bytes(png())
    assert not isinstance(home.open_parser(), CaptioningParser)
    told = settings.model_copy(update={"vision_url": "http://127.0.0.1:9/v1", "vision_model": "looker"})
    with Home(told) as configured:
        parser = configured.open_parser()
        assert isinstance(parser, CaptioningParser)
        parser.close()

    ingestion = replace(home.ingestion, open_parser=lambda: CaptioningParser(Reads(""), lambda *_: SAID, "looker"))
    request = FolderRequest(tmp_path / "org", "org", (parse_grantee("everyone"),), None, "no")
    report = sync_folder(ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)

    assert counts(report) == {"added": 1}
    assert found(home, "red crane quay") == ["quay.png"]

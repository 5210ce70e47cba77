"""Where documents stand and links lead: spelled in many ways, one place."""

from __future__ import annotations

import pytest

from core.places import LONGEST, Lead, address_steps, lead_of, place_key, steps_of


@pytest.mark.parametrize(
    "address",
    ["hr/leave.md", "hr/Leave", "/hr/leave/", "hr/leave/index.html", "./hr/x/../leave.html#sick", "hr\\leave.md"],
)
def test_spellings_of_a_path_are_one_place(address: str) -> None:
    assert steps_of(address) == ("hr", "leave")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/hr/Sick%20leave",
        "http://www.example.org:80/hr/sick leave.html",
        "HTTPS://EXAMPLE.ORG/hr/sick leave/",
    ],
)
def test_spellings_of_an_address_are_one_place(address: str) -> None:
    assert steps_of(address) == address_steps(address) == ("//example.org", "hr", "sick leave")


def test_a_query_and_a_port_tell_addresses_apart() -> None:
    assert steps_of("https://example.org/page?id=1") != steps_of("https://example.org/page?id=2")
    assert steps_of("https://example.org:8443/page") != steps_of("https://example.org/page")
    assert steps_of("https://example.org/../../etc") == ("//example.org", "etc")


def test_a_folder_s_own_page_stands_at_the_folder_and_a_lone_one_at_its_name() -> None:
    assert steps_of("README.md") == ("readme",)
    assert steps_of("guides/README.md") == ("guides",)
    assert steps_of("notes.tar.gz") == ("notes.tar.gz",)


@pytest.mark.parametrize(
    ("target", "steps", "named"),
    [
        ("travel.md", ("hr", "travel"), 1),
        ("./travel.md#trains", ("hr", "travel"), 1),
        ("../it/vpn.md?raw=1", ("it", "vpn"), 2),
        ("/it/vpn", ("it", "vpn"), 2),
        ("../../../it/vpn", ("it", "vpn"), 2),
        ("index.md", ("hr",), 1),
        ("https://example.org/it", ("//example.org", "it"), 2),
        ("//example.org/it", ("//example.org", "it"), 2),
    ],
)
def test_a_link_in_a_file_leads_from_its_folder_or_to_an_address(
    target: str, steps: tuple[str, ...], named: int
) -> None:
    assert lead_of("hr/leave.md", "file:///srv/docs/hr/leave.md", target) == Lead(steps, named)


def test_a_link_in_a_file_of_a_repository_leads_to_its_files_and_not_to_one_of_their_addresses() -> None:
    file = ("hr/leave.md", "https://git.example.org/blob/main/hr/leave.md")
    assert lead_of(*file, "travel.md") == Lead(("hr", "travel"), 1)


def test_a_link_on_a_page_leads_from_its_address() -> None:
    page = ("page/77", "https://wiki.example.org/spaces/HR/77")
    assert lead_of(*page, "78") == Lead(("//wiki.example.org", "spaces", "hr", "78"), 4)
    page = ("https://example.org/a/b", "https://example.org/a/b")
    assert lead_of(*page, "c?x=1") == Lead(("//example.org", "a", "c?x=1"), 3)


@pytest.mark.parametrize(
    "target",
    ["", "#sick", "mailto:ana@example.org", "javascript:void(0)", "data:,x", "http://[", "..", "x" * (LONGEST + 1)],
)
def test_what_leads_to_no_document_leads_nowhere(target: str) -> None:
    assert lead_of("leave.md", "file:///leave.md", target) is None


def test_a_page_of_notion_is_its_id_with_or_without_its_title() -> None:
    identity = "1f4e9a7c1f4e9a7c1f4e9a7c1f4e9a7c"
    page = ("pages/1f4e9a7c-1f4e-9a7c-1f4e-9a7c1f4e9a7c", f"https://www.notion.so/Sick-leave-{identity}")
    assert steps_of(page[1]) == ("//notion.so", identity)
    assert lead_of(*page, f"/{identity}?pvs=4#sick") == Lead(("//notion.so", identity), 2)


def test_the_key_of_a_place_is_of_a_length_that_databases_index() -> None:
    assert place_key(("a", "b", "c")) == "b/c"
    assert place_key(()) is None
    assert len(place_key(("x" * 3_000,)) or "") == 200

"""Tables and queries, on SQLite and on a real PostgreSQL that asks for a password."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, synced
from pydantic import SecretStr, ValidationError
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, parse_grantee
from ingest.connectors.protocol import CursorExpired, Listed
from ingest.connectors.sql import Sql, SqlSettings, open_sql
from ingest.connectors.sql_records import decided, file_name, rendered, web_address
from ingest.parsing.html import parse_html
from ingest.parsing.markdown import parse_markdown

READER = "footnote_reader"
QUERY = "SELECT id, title, body AS text, allow, deny FROM papers"
PLAIN = "SELECT id, title, body AS text FROM papers"


@pytest.fixture(scope="session")
def reader(postgres_server: str) -> str:
    """A user of the server's who may only read, and whom it asks for a password."""
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {READER} LOGIN PASSWORD '{SECRET}'"))
        rules = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
        rules.write_text(f"local all {READER} scram-sha-256\n" + rules.read_text())
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    stranger = create_engine(make_url(postgres_server).set(username=READER, password="no"))
    for _ in range(200):
        try:
            with stranger.connect():
                # The new rules hold as soon as the server has read them.
                time.sleep(0.02)
        except OperationalError:
            break
    else:
        raise AssertionError("the server does not ask for a password")
    stranger.dispose()
    return READER


class SqlSite:
    """A table of papers, its people's groups beside it."""

    def __init__(self, url: str, reader: str | None) -> None:
        self.url: URL = make_url(url)
        self.reader = reader
        self.engine: Engine = create_engine(self.url)
        serial = "INTEGER PRIMARY KEY" if self.is_sqlite else "SERIAL PRIMARY KEY"
        moment = "TEXT" if self.is_sqlite else "TIMESTAMPTZ"
        self.run(f"CREATE TABLE papers (id {serial}, title TEXT, body TEXT, changed {moment}, allow TEXT, deny TEXT)")
        self.run("CREATE TABLE members (group_id TEXT, member_id TEXT)")
        self.run("CREATE TABLE people (user_id TEXT, name TEXT)")
        if reader:
            self.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def run(self, statement: str, **values: object) -> int:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return int(result.scalar() or 0) if result.returns_rows else 0

    def connect(
        self,
        secret: str | None = SECRET,
        max_document_bytes: int = 1_000_000,
        now: datetime | None = None,
        **settings: object,
    ) -> Sql:
        address = URL.create(
            self.url.drivername,
            self.reader or self.url.username,
            None,
            database=self.url.database,
            query=self.url.query,
        )
        given = {"url": address.render_as_string(hide_password=False), "query": QUERY, "page_size": 3}
        if (settings | given)["query"] == QUERY and "query" not in settings:
            given |= {
                "mirror_permissions": True,
                "groups_query": "SELECT * FROM members",
                "accounts_query": "SELECT * FROM people",
            }
        return open_sql(
            SqlSettings.model_validate(given | settings),
            SecretStr(secret) if secret is not None and self.reader else None,
            max_document_bytes=max_document_bytes,
            **({"now": lambda: now} if now is not None else {}),
        )

    def connect_unwelcome(self) -> Sql | None:
        return self.connect(SECRET + "-of-yesterday") if self.reader else None

    def add(self, name: str, words: str, changed: object = None) -> str:
        statement = "INSERT INTO papers (title, body, changed) VALUES (:name, :words, :changed) RETURNING id"
        return str(self.run(statement, name=name, words=words, changed=changed))

    def change(self, external_id: str, words: str) -> None:
        self.run("UPDATE papers SET body = :words WHERE id = :id", words=words, id=int(external_id))

    def rename(self, external_id: str, name: str) -> bool:
        self.run("UPDATE papers SET title = :name WHERE id = :id", name=name, id=int(external_id))
        return True

    def remove(self, external_id: str) -> None:
        self.run("DELETE FROM papers WHERE id = :id", id=int(external_id))

    def throttle(self, times: int, seconds: float) -> bool:
        return False

    def waited(self) -> Sequence[float]:
        return []

    def go_down(self) -> None:
        self.engine.dispose()
        if self.is_sqlite:
            file = Path(str(self.url.database))
            file.rename(file.with_suffix(".away"))
        else:
            self._administer(f"ALTER DATABASE {self.url.database} ALLOW_CONNECTIONS false")
            self._administer(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.url.database}'"
            )

    def come_back(self) -> None:
        if self.is_sqlite:
            file = Path(str(self.url.database))
            file.with_suffix(".away").rename(file)
        else:
            self._administer(f"ALTER DATABASE {self.url.database} ALLOW_CONNECTIONS true")

    def expire_cursors(self) -> bool:
        return False

    def share(self, external_id: str, *who: str) -> None:
        names = json.dumps([str(self.grantee(one)) for one in who])
        self.run("UPDATE papers SET allow = :names WHERE id = :id", names=names, id=int(external_id))
        for one in who:
            self._known(one)

    def set_group(self, name: str, *members: str) -> None:
        group = str(self.grantee(f"group:{name}"))
        self.run("DELETE FROM members WHERE group_id = :group", group=group)
        for one in members:
            member = str(self.grantee(one))
            self.run("INSERT INTO members VALUES (:group, :member)", group=group, member=member)
            self._known(one)

    def grantee(self, who: str) -> Grantee:
        kind, _, name = who.partition(":")
        return parse_grantee(f"user:hr|{name}" if kind == "person" else f"group:hr|{name}")

    @property
    def nests(self) -> bool:
        return True

    def hide_permissions(self, external_id: str) -> bool:
        self.run("UPDATE papers SET allow = 'the team of ana' WHERE id = :id", id=int(external_id))
        return True

    def _known(self, who: str) -> None:
        kind, _, name = who.partition(":")
        if kind == "person":
            user = str(self.grantee(who))
            self.run("DELETE FROM people WHERE user_id = :user", user=user)
            self.run("INSERT INTO people VALUES (:user, :name)", user=user, name=name.title())

    def _administer(self, statement: str) -> None:
        admin = create_engine(self.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(statement))
        admin.dispose()


@pytest.fixture
def site(database_url: str, request: pytest.FixtureRequest) -> Iterator[SqlSite]:
    is_sqlite = database_url.startswith("sqlite")
    site = SqlSite(database_url, None if is_sqlite else request.getfixturevalue("reader"))
    yield site
    site.engine.dispose()


class TestSql(ConnectorContract, PermissionContract):
    pass


def test_a_row_is_shown_as_a_page_with_its_title_and_nothing_in_it_becomes_structure(site: SqlSite) -> None:
    site.add("<script>a</script>", "first <h1>line</h1>\nnext line\n\nsecond & last")
    with closing(site.connect()) as connector:
        (one,), _, _ = (list(part.values()) if isinstance(part, dict) else part for part in listing(connector))
        parsed = parse_html(connector.fetch(one))
    assert one.name == "<script>a<-script>.html"
    assert parsed.title == "<script>a</script>"
    assert "first <h1>line</h1>" in parsed.text and "second & last" in parsed.text
    assert parsed.blocks[0].kind.value == "heading" and len(parsed.blocks) == 3


def test_markdown_html_and_files_are_given_as_they_are(site: SqlSite) -> None:
    site.add("T*tle", "## Part\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    with closing(site.connect(query=PLAIN, format="markdown")) as connector:
        found, _, _ = listing(connector)
        parsed = parse_markdown(connector.fetch(found["1"]))
        assert found["1"].name == "T*tle.md" and parsed.title == "T*tle" and "a | b" in parsed.text
    site.change("1", "<h2>Part</h2><p>wombat</p>")
    with closing(site.connect(query=PLAIN, format="html")) as connector:
        found, _, _ = listing(connector)
        assert parse_html(connector.fetch(found["1"])).title == "T*tle"
        assert b"<h2>Part</h2>" in connector.fetch(found["1"])
    data = "X'255044460001ff'" if site.is_sqlite else "'\\x255044460001ff'::bytea"
    query = f"SELECT 7 AS id, 'scan.pdf' AS title, {data} AS data"
    with closing(site.connect(query=query, format="file", content_column="data")) as connector:
        found, _, _ = listing(connector)
        assert found["7"].name == "scan.pdf"
        assert connector.fetch(found["7"]) == b"%PDF\x00\x01\xff"


def test_a_revision_is_a_hash_of_what_is_fetched(site: SqlSite) -> None:
    first, second = site.add("same", "same text"), site.add("same", "same text")
    with closing(site.connect()) as connector:
        before, _, _ = listing(connector)
        assert before[first].revision == before[second].revision and before[first].hashed
        assert connector.fetch(before[first]) == connector.fetch(before[second])
        site.rename(second, "another title")
        after, _, _ = listing(connector)
        assert after[second].revision != before[second].revision
        assert connector.fetch(after[second]) != connector.fetch(before[first])


def test_text_and_uuids_and_numbers_are_ids_that_page_in_the_databases_own_order(site: SqlSite) -> None:
    ids = ["a", "B", "ä", "Z", "10", "9", "a b", "_"]
    rows = " UNION ALL ".join(f"SELECT '{one}' AS id, 'text of {one}' AS text" for one in ids)
    queries = {"text": (rows, set(ids))}
    if not site.is_sqlite:
        uuids = [f"{number:08x}-0000-4000-8000-000000000000" for number in (9, 3, 255, 16)]
        queries["uuid"] = (
            " UNION ALL ".join(f"SELECT '{one}'::uuid AS id, 'text of {one}' AS text" for one in uuids),
            set(uuids),
        )
        queries["numeric"] = (
            "SELECT n::numeric AS id, 'text of ' || n AS text FROM generate_series(1, 5) n",
            {"1", "2", "3", "4", "5"},
        )
    for query, expected in queries.values():
        with closing(site.connect(query=query, page_size=2)) as connector:
            found, _, pages = listing(connector)
            assert found.keys() == expected and sum(len(page.listed) for page in pages) == len(expected)
            assert all(f"text of {name}".encode() in connector.fetch(one) for name, one in found.items())
            rest, _, _ = listing(connector, pages[0].cursor)
            assert rest.keys() == expected - {one.external_id for one in pages[0].listed}


def test_a_query_may_hold_colons_percents_quotes_comments_and_a_semicolon(site: SqlSite) -> None:
    site.add("10:30", "100% of :words")
    query = (
        "SELECT id, '10:30 %s %(x)s' AS title, body AS text -- :comment\n"
        "FROM papers WHERE body LIKE '100\\%%' ESCAPE '\\'; "
    )
    if not site.is_sqlite:
        query = query.replace("body AS text", "body::text AS text")
    with closing(site.connect(query=query)) as connector:
        found, _, _ = listing(connector)
        assert found["1"].name == "10:30 %s %(x)s.html"
        assert b"100% of :words" in connector.fetch(found["1"])


WRITING = [
    "DELETE FROM papers",
    "DELETE FROM papers RETURNING id, body AS text",
    "SELECT id, body AS text FROM papers; DELETE FROM papers",
    "SELECT id, body AS text FROM papers) q; DELETE FROM papers; --",
    "SELECT id, body AS text FROM papers) q WHERE 1 = 1; COMMIT; DELETE FROM papers; SELECT * FROM (SELECT 1 AS id",
    "WITH gone AS (DELETE FROM papers RETURNING id, body AS text) SELECT * FROM gone",
    "DROP TABLE papers",
    "CREATE TABLE mine (id INTEGER)",
    "PRAGMA query_only = OFF",
    "ATTACH DATABASE 'other.db' AS other",
    "SET default_transaction_read_only = off",
    "COMMIT",
]
WRITING_FUNCTIONS = [
    "SELECT nextval('papers_id_seq') AS id, 'x' AS text",
    "SELECT 1 AS id, set_config('transaction_read_only', 'off', false) || wipe() AS text",
    "SELECT wipe() AS id, 'x' AS text",
    "SELECT 1 AS id, lo_create(4711)::text AS text",
]


def test_a_query_that_is_more_than_one_select_is_refused_and_changes_nothing(site: SqlSite) -> None:
    site.add("paper", "text")
    site.reader = None
    for query in WRITING:
        with closing(site.connect(query=query)) as connector, pytest.raises(SourceRefused):
            listing(connector)
        assert site.run("SELECT count(*) FROM papers") == 1, query


def test_a_select_that_writes_is_refused_by_postgresql_even_for_its_owner(postgres_url: str) -> None:
    site = SqlSite(postgres_url, None)
    site.add("paper", "text")
    site.run("CREATE FUNCTION wipe() RETURNS text LANGUAGE sql AS 'DELETE FROM papers RETURNING title'")
    for query in WRITING_FUNCTIONS:
        with closing(site.connect(query=query)) as connector, pytest.raises(SourceRefused):
            listing(connector)
        assert site.run("SELECT count(*) FROM papers") == 1, query
    assert site.add("next", "text") == "2"
    site.engine.dispose()


def test_sqlite_opens_the_file_to_be_read_and_makes_none(tmp_path: Path) -> None:
    file = tmp_path / "a b?c%20#.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE papers (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    url = URL.create("sqlite", database=str(file)).render_as_string()
    connector = open_sql(SqlSettings(url=url, query=PLAIN), None)
    with closing(connector), connector._database._engine.connect() as connection:
        for statement in ("DELETE FROM papers", "CREATE TABLE more (id INTEGER)"):
            with pytest.raises(OperationalError, match="readonly"):
                connection.execute(text(statement))
        connection.execute(text("PRAGMA query_only = OFF"))
        with pytest.raises(OperationalError, match="readonly"):
            connection.execute(text("DELETE FROM papers"))
    missing = tmp_path / "missing.db"
    absent = open_sql(SqlSettings(url=f"sqlite:///{missing}", query=PLAIN), None)
    with closing(absent), pytest.raises(Transient):
        listing(absent)
    assert not missing.exists()


def test_postgresql_is_asked_in_a_session_that_only_reads(site: SqlSite) -> None:
    if site.is_sqlite:
        pytest.skip("it has no such session")
    query = (
        "SELECT 1 AS id, current_setting('transaction_read_only') || ' ' || "
        "current_setting('default_transaction_read_only') || ' ' || current_setting('statement_timeout') AS text"
    )
    with closing(site.connect(query=query, timeout_s=12.5)) as connector:
        found, _, _ = listing(connector)
        assert b"on on 12500ms" in connector.fetch(found["1"])


def test_a_question_that_takes_too_long_is_ended_and_the_next_is_answered(site: SqlSite) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    slow = f"({endless})" if site.is_sqlite else "pg_sleep(60)::text"
    says = "INTERRUPT" if site.is_sqlite else "57014"
    query = f"SELECT id, CASE WHEN title = 'slow' THEN CAST({slow} AS TEXT) ELSE body END AS text FROM papers"
    fast = site.add("fast", "text")
    with closing(site.connect(query=query, timeout_s=0.2)) as connector:
        found, _, _ = listing(connector)
        site.add("slow", "text")
        with pytest.raises(Transient, match=says):
            listing(connector)
        assert b"text" in connector.fetch(found[fast])


REFUSED = {
    "SELECT id, body AS text FROM papers UNION ALL SELECT id, body FROM papers": "1 rows with the id of another",
    "SELECT id, body AS text FROM papers UNION ALL SELECT NULL, 'x'": "1 rows without an id",
    "SELECT id, body FROM papers": "no column text",
    "SELECT id, body AS text FROM nowhere": "nowhere",
    "SELECT id, body AS text FROM papers WHERE": "cannot run the query",
    "SELECT id, body AS text, allow FROM papers": "mirror_permissions is off",
    "SELECT id, body AS text, NULL AS deny FROM papers": "mirror_permissions is off",
}


def test_a_query_that_would_lose_rows_or_rights_is_refused_with_what_is_wrong(site: SqlSite) -> None:
    site.add("paper", "text")
    # PostgreSQL's fractions are exact, and fit to be ids; SQLite tells columns of one name apart.
    own = (
        {"SELECT 1.5 AS id, 'x' AS text": "whole number"}
        if site.is_sqlite
        else {"SELECT id, id, body AS text FROM papers": "same name", "SELECT true AS id, 'x' AS text": "whole number"}
    )
    for query, says in (REFUSED | own).items():
        with closing(site.connect(query=query)) as connector, pytest.raises(SourceRefused, match=says):
            listing(connector)


def test_ids_that_the_database_takes_for_the_same_are_refused_rather_than_lost(tmp_path: Path) -> None:
    site = SqlSite(f"sqlite:///{tmp_path / 'papers.db'}", None)
    site.run("CREATE TABLE loose (id TEXT COLLATE NOCASE, text TEXT)")
    site.run("INSERT INTO loose VALUES ('a', 'one'), ('A', 'two'), ('b', 'three')")
    loose = site.connect(query="SELECT * FROM loose", page_size=1)
    with closing(loose), pytest.raises(SourceRefused, match="id of another"):
        listing(loose)
    site.engine.dispose()


def test_an_error_over_a_rows_content_shows_none_of_it(site: SqlSite) -> None:
    if site.is_sqlite:
        pytest.skip("SQLite casts anything")
    site.add("paper", "quokkasecret")
    query = "SELECT id, CAST(CAST(body AS integer) AS text) AS text FROM papers"
    with closing(site.connect(query=query)) as connector, pytest.raises(SourceRefused) as refused:
        listing(connector)
    assert "quokkasecret" not in str(refused.value) and "22P02" in str(refused.value)


def test_a_table_that_may_not_be_read_is_the_operators(site: SqlSite) -> None:
    if site.is_sqlite:
        pytest.skip("it has no rights")
    site.run(f"REVOKE SELECT ON papers FROM {READER}")
    with closing(site.connect()) as connector, pytest.raises(SourceRefused, match="right to"):
        listing(connector)


def test_content_beyond_the_limit_stays_in_the_database(site: SqlSite) -> None:
    huge, fits, wide = site.add("huge", "x" * 3_000_000), site.add("fits", "x" * 2000), site.add("wide", "ä" * 1001)
    with closing(site.connect(max_document_bytes=2000)) as connector:
        tracemalloc.start()
        found, _, _ = listing(connector)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for one in (huge, wide):
            with pytest.raises(UnreadableDocument) as refused:
                connector.fetch(found[one])
            assert refused.value.verdict == "too_large"
        assert b"x" * 2000 in connector.fetch(found[fits])
    assert found.keys() == {huge, fits, wide}
    assert peak < 2_000_000


def test_a_row_without_content_is_listed_and_says_so(site: SqlSite) -> None:
    site.run("INSERT INTO papers (title) VALUES ('bare')")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(found["1"])
    assert refused.value.verdict == "empty"


def test_memory_stays_flat_over_many_rows(tmp_path: Path) -> None:
    site = SqlSite(f"sqlite:///{tmp_path / 'papers.db'}", None)
    with site.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO papers (title, body) VALUES (:title, :body)"),
            [{"title": f"paper {number}", "body": f"{number} " + "x" * 5000} for number in range(4000)],
        )
    with closing(site.connect(query=PLAIN, page_size=100)) as connector:
        seen = 0
        for page in connector.changes(None):
            if seen == 100:
                tracemalloc.start()
            seen += len(page.listed)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    site.engine.dispose()
    # A page holds half a megabyte, and everything 20.
    assert seen == 4000 and peak < 3_000_000


def test_a_page_of_long_rows_is_not_kept_in_memory_at_once(site: SqlSite) -> None:
    with site.engine.begin() as connection:
        for number in range(80):
            connection.execute(text("INSERT INTO papers (body) VALUES (:body)"), {"body": f"{number} " + "x" * 500_000})
    with closing(site.connect(query=PLAIN, page_size=100)) as connector:
        next(connector.changes(None))
        tracemalloc.start()
        found, _, _ = listing(connector)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(found) == 80 and peak < 25_000_000


BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
UPDATED = "SELECT id, title, body AS text, changed AS updated FROM papers"


def at(site: SqlSite, moment: datetime) -> object:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if site.is_sqlite else moment


def test_with_a_column_of_times_only_what_is_newer_is_read_and_everything_now_and_then(site: SqlSite) -> None:
    incremental = {"query": UPDATED, "updated_column": "updated", "whole_every_s": 100_000, "overlap_s": 60}
    old, edited, removed = (site.add(name, name, at(site, BEGIN - timedelta(days=3))) for name in "abc")
    undated = site.add("undated", "undated")
    with closing(site.connect(now=BEGIN, **incremental)) as connector:
        before, cursor, pages = listing(connector)
        assert before.keys() == {old, edited, removed, undated} and all(page.whole for page in pages)

    site.run(
        "UPDATE papers SET body = 'numbat', changed = :at WHERE id = :id",
        at=at(site, BEGIN - timedelta(seconds=30)),
        id=int(edited),
    )
    site.remove(removed)
    with closing(site.connect(now=BEGIN + timedelta(hours=1), **incremental)) as connector:
        changed, cursor, pages = listing(connector, cursor)
    # What was committed late is caught by the overlap; a row that does not say when it changed is read each time.
    assert changed.keys() == {edited, undated} and not any(page.whole for page in pages)
    assert changed[edited].revision != before[edited].revision
    assert changed[undated].revision == before[undated].revision

    with closing(site.connect(now=BEGIN + timedelta(hours=2), **incremental)) as connector:
        changed, cursor, _ = listing(connector, cursor)
        assert changed.keys() == {undated} or site.is_sqlite
    with closing(site.connect(now=BEGIN + timedelta(seconds=100_000), **incremental)) as connector:
        after, _ = synced(connector, before, cursor)
    assert after.keys() == {old, edited, undated}


def test_a_clock_that_was_set_back_means_a_whole_listing(site: SqlSite) -> None:
    incremental = {"query": UPDATED, "updated_column": "updated"}
    site.add("paper", "text", at(site, BEGIN - timedelta(days=3)))
    with closing(site.connect(now=BEGIN, **incremental)) as connector:
        _, cursor, _ = listing(connector)
    with closing(site.connect(now=BEGIN - timedelta(hours=1), **incremental)) as connector:
        found, _, (page,) = listing(connector, cursor)
    assert page.whole and len(found) == 1


def test_an_incremental_listing_that_stops_goes_on_with_the_same_window(site: SqlSite) -> None:
    incremental = {"query": UPDATED, "updated_column": "updated", "overlap_s": 0}
    names = [site.add(f"{number}", "old", at(site, BEGIN - timedelta(days=3))) for number in range(9)]
    with closing(site.connect(now=BEGIN, **incremental)) as connector:
        _, cursor, _ = listing(connector)
    for name in names[:7]:
        site.run("UPDATE papers SET body = 'new', changed = :at WHERE id = :id", at=at(site, BEGIN), id=int(name))
    with closing(site.connect(now=BEGIN + timedelta(hours=1), **incremental)) as connector:
        first = next(connector.changes(cursor))
    with closing(site.connect(now=BEGIN + timedelta(hours=5), **incremental)) as connector:
        rest, cursor, _ = listing(connector, first.cursor)
        assert {one.external_id for one in first.listed} | rest.keys() == set(names[:7])
    # Changed after that listing had begun and before it went on: the next one has it.
    site.run(
        "UPDATE papers SET changed = :at WHERE id = :id", at=at(site, BEGIN + timedelta(hours=2)), id=int(names[8])
    )
    with closing(site.connect(now=BEGIN + timedelta(hours=6), **incremental)) as connector:
        assert names[8] in listing(connector, cursor)[0]


TIMES = [
    ("TIMESTAMPTZ", "to_timestamp({epoch})"),
    ("TIMESTAMP", "to_timestamp({epoch}) AT TIME ZONE 'America/Los_Angeles'"),
    ("TIMESTAMP", "to_timestamp({epoch}) AT TIME ZONE 'Pacific/Auckland'"),
    ("DATE", "(to_timestamp({epoch}) AT TIME ZONE 'UTC')::date"),
    ("BIGINT", "{epoch}"),
    ("BIGINT", "{epoch}000"),
    ("NUMERIC", "{epoch}.5"),
    ("DOUBLE PRECISION", "{epoch}.5"),
    ("TEXT", "to_char(to_timestamp({epoch}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"),
    ("TEXT", "to_char(to_timestamp({epoch}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"),
    ("TEXT", "to_char(to_timestamp({epoch}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"),
]


def test_times_of_every_kind_tell_what_is_newer_and_lose_nothing(postgres_url: str) -> None:
    site = SqlSite(postgres_url, None)
    for number, (kind, value) in enumerate(TIMES):
        table = f"timed{number}"
        site.run(f"CREATE TABLE {table} (id TEXT PRIMARY KEY, updated {kind})")
        incremental = {
            "query": f"SELECT id, 'text' AS text, updated FROM {table}",
            "updated_column": "updated",
            "overlap_s": 0,
        }
        put = f"INSERT INTO {table} VALUES (:id, {value})"
        site.run(put.format(epoch=int((BEGIN - timedelta(days=3)).timestamp())), id="long ago")
        with closing(site.connect(now=BEGIN, **incremental)) as connector:
            before, cursor, _ = listing(connector)
        site.run(put.format(epoch=int((BEGIN + timedelta(seconds=1)).timestamp())), id="just after")
        with closing(site.connect(now=BEGIN + timedelta(hours=1), **incremental)) as connector:
            changed, _, pages = listing(connector, cursor)
        assert before.keys() == {"long ago"}
        assert changed.keys() == {"just after"} and not any(page.whole for page in pages), (kind, value)
    site.engine.dispose()


def test_a_column_that_holds_no_times_is_refused(site: SqlSite) -> None:
    site.add("paper", "text")
    incremental = {"query": "SELECT id, body AS text, title AS updated FROM papers", "updated_column": "updated"}
    with closing(site.connect(now=BEGIN, **incremental)) as connector:
        _, cursor, _ = listing(connector)
        with pytest.raises(SourceRefused, match="no times"):
            listing(connector, cursor)


def test_revisions_by_time_alone_leave_the_content_unread(site: SqlSite) -> None:
    site.add("paper", "x" * 1_000_000, at(site, BEGIN))
    undated = site.add("undated", "text")
    settings = {"query": UPDATED, "updated_column": "updated", "revision": "updated"}
    with closing(site.connect(**settings)) as connector:
        tracemalloc.start()
        before, _, pages = listing(connector)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        site.run("UPDATE papers SET body = 'numbat', changed = :at WHERE id = 1", at=at(site, BEGIN + timedelta(1)))
        after, _, _ = listing(connector)
        assert b"numbat" in connector.fetch(after["1"])
    assert peak < 900_000
    assert before["1"].revision != after["1"].revision and not before["1"].hashed
    assert dict(pages[-1].refused).keys() == {undated}


def test_other_settings_mean_another_listing(site: SqlSite) -> None:
    site.add("paper", "text")
    with closing(site.connect(query=PLAIN)) as connector:
        _, cursor, _ = listing(connector)
    for other in ({"query": PLAIN + " WHERE id > 0"}, {"query": PLAIN, "format": "markdown"}):
        with closing(site.connect(**other)) as connector, pytest.raises(CursorExpired):
            listing(connector, cursor)


def test_addresses_of_rows_are_web_pages_or_none(site: SqlSite) -> None:
    query = "SELECT id, body AS text, title AS uri FROM papers"
    for title in ("https://wiki.example/a?b=1", "javascript:alert(1)", "https://", "", "http://[bad"):
        site.add(title, "text")
    with closing(site.connect(query=query, web_link="https://crm.example/{id}")) as connector:
        found, _, _ = listing(connector)
    assert [found[str(number)].uri for number in range(1, 6)] == [
        "https://wiki.example/a?b=1",
        *(f"https://crm.example/{number}" for number in range(2, 6)),
    ]
    with closing(site.connect(query=PLAIN)) as connector:
        found, _, _ = listing(connector)
    assert found["1"].uri.endswith("#1") and READER not in found["1"].uri


@pytest.mark.parametrize(
    ("allow", "deny", "allowed", "denied_to"),
    [
        ('["user:ana", "group:hr|staff"]', None, {"user:ana", "group:hr|staff"}, set()),
        ("user:ana, group:hr|staff", "user:ben", {"user:ana", "group:hr|staff"}, {"user:ben"}),
        (["user:ana"], ["user:ben"], {"user:ana"}, {"user:ben"}),
        ("everyone", "", {"everyone"}, set()),
        ("everyone", '["user:ben"', set(), set()),
        ("everyone", "ben", set(), set()),
        ("everyone", "user:ben,", set(), set()),
        ("everyone", "[1]", set(), set()),
        ("everyone", 7, set(), set()),
        ("everyone", b"user:ben", set(), set()),
        ("everyone", "[" * 100_000, set(), set()),
        ('{"user": "ana"}', None, set(), set()),
        ("user:ana,ben@example.org", None, set(), set()),
        (["user:ana", None], None, set(), set()),
        (None, None, set(), set()),
        ("", None, set(), set()),
        ("[]", "user:ben", set(), set()),
    ],
)
def test_a_list_that_cannot_be_read_in_full_lets_nobody_in(
    allow: object, deny: object, allowed: set[str], denied_to: set[str]
) -> None:
    decision = decided(allow, deny)
    assert {str(one) for one in decision.lists.allow} == allowed
    assert {str(one) for one in decision.lists.deny} == denied_to
    assert bool(allowed) != decision.rule.startswith("nobody may read it")


def test_arrays_of_the_databases_own_are_lists_too(site: SqlSite) -> None:
    if site.is_sqlite:
        pytest.skip("it has no arrays")
    query = (
        "SELECT 1 AS id, 'x' AS text, ARRAY['user:ana', 'everyone'] AS allow, NULL::text[] AS deny UNION ALL "
        "SELECT 2, 'x', ARRAY['user:ana'], ARRAY['user:ana'] UNION ALL SELECT 3, 'x', ARRAY[]::text[], NULL"
    )
    with closing(site.connect(query=query, mirror_permissions=True)) as connector:
        rights = decisions(connector)
        found, _, _ = listing(connector)
    assert rights["1"].lists.allow == {EVERYONE, parse_grantee("user:ana")}
    assert rights["2"].lists.deny == {parse_grantee("user:ana")}
    assert not rights["3"].lists.allow
    assert {name: one.access for name, one in found.items()} == rights


def test_rights_are_mirrored_only_where_the_query_gives_them(site: SqlSite) -> None:
    site.add("paper", "text")
    with closing(site.connect(query=PLAIN)) as connector:
        found, _, _ = listing(connector)
        assert not connector.mirrors_permissions and found["1"].access is None
        assert decisions(connector) == {} and not list(connector.groups()) and not list(connector.accounts())
    with closing(site.connect(query=PLAIN, mirror_permissions=True)) as connector:
        for ask in (lambda: listing(connector), lambda: decisions(connector)):
            with pytest.raises(SourceRefused, match="no column allow"):
                ask()


def test_groups_come_from_their_own_query_and_are_never_ours(site: SqlSite) -> None:
    for group, member in (
        ("group:hr|staff", "user:hr|ana"),
        ("group:hr|staff", "group:hr|temps"),
        ("group:hr|broken", "user:hr|ana"),
        ("group:hr|broken", "ben@example.org"),
        ("group:hr|bare", None),
        ("no group", "user:hr|ana"),
    ):
        site.run("INSERT INTO members VALUES (:group, :member)", group=group, member=member)
    with closing(site.connect()) as connector:
        groups = {str(one.group): one for one in connector.groups()}
        assert groups.keys() == {"group:hr|staff", "group:hr|broken", "group:hr|bare"}
        assert {str(one) for one in groups["group:hr|staff"].members} == {"user:hr|ana", "group:hr|temps"}
        assert groups["group:hr|broken"].problem and not groups["group:hr|staff"].problem
        assert groups["group:hr|bare"].members == ()
        site.run("INSERT INTO members VALUES ('group:admins', 'user:hr|ana')")
        with pytest.raises(SourceRefused, match="group of ours"):
            list(connector.groups())


def test_a_connection_that_was_lost_is_transient_and_the_next_question_is_answered(site: SqlSite) -> None:
    if site.is_sqlite:
        pytest.skip("it has no connection to lose")
    site.add("paper", "text")
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :who"
    with closing(site.connect(query="SELECT 1 AS id, pg_sleep(30)::text AS text", page_size=1)) as connector:
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                listing(connector)
            except Transient as error:
                raised.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE usename = :who AND wait_event = 'PgSleep'"
        while not site.run(asleep, who=READER):
            assert thread.is_alive()
        site.run(ending, who=READER)
        thread.join()
    assert len(raised) == 1
    with closing(site.connect()) as connector:
        assert listing(connector)[0]
        site.run(ending, who=READER)
        assert listing(connector)[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "postgresql+psycopg://ana:hunter2@host/db"},
        {"url": "postgresql+psycopg://ana@host/db?password=hunter2"},
        {"url": "postgresql+psycopg://ana@host/db?sslpassword=hunter2"},
        {"url": "hunter2"},
        {"url": "sqlite://"},
        {"url": "sqlite:///:memory:"},
        {"url": "sqlite:///hunter2?mode=rwc&uri=true"},
        {"url": "sqlite:///a.db", "password": "hunter2"},
        {"url": "sqlite:///a.db", "revision": "updated"},
        {"url": "sqlite:///a.db", "groups_query": "SELECT hunter2"},
        {"url": "sqlite:///a.db", "web_link": "{hunter2}"},
    ],
)
def test_settings_that_hold_a_secret_or_make_no_sense_are_refused_unquoted(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        SqlSettings.model_validate({"query": "SELECT 1 AS id, 'x' AS text"} | settings)
    assert "hunter2" not in str(refused.value)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    for scheme in ("oracle+oracledb", "nosuchthing"):
        with pytest.raises(SourceRefused, match="driver"):
            open_sql(SqlSettings(url=f"{scheme}://ana@host/db", query="SELECT 1"), None)


def test_a_reference_that_is_not_there_is_not_found(site: SqlSite) -> None:
    with closing(site.connect()) as connector, pytest.raises(NotFound):
        connector.fetch(Listed("77", "x.html", "", "", reference="77"))


def test_names_are_one_line_without_slashes() -> None:
    assert file_name("text", "a/b\\c\nd\te", "1") == "a-b-c d e.html"
    assert file_name("file", "", "scan.pdf") == "scan.pdf"
    assert len(file_name("markdown", "x" * 1000, "1")) == 203


def test_only_pages_of_the_web_are_addresses() -> None:
    assert web_address(" https://a.example/b ") == "https://a.example/b"
    assert [web_address(one) for one in ("data:text/html,x", "file:///etc", "//a", None, 7)] == [None] * 5


def test_a_whole_page_of_html_is_left_as_it_is() -> None:
    page = "<!DOCTYPE html><html><body>x</body></html>"
    assert rendered("html", "Title", page) == page.encode()

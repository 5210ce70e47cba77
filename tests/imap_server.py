"""A real IMAP server for tests: Dovecot, run from a folder of its own on 127.0.0.1."""

from __future__ import annotations

import getpass
import imaplib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER = "ana@example.com"
START_SECONDS = 30.0
_DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
first_valid_uid = 1
first_valid_gid = 0
mail_uid = {mail}
mail_gid = {mail_group}
mail_home = {folder}/home
mail_location = maildir:{folder}/home/mail
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login xoauth2
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
ssl_dh =
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={folder}/home
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Spam {{
    special_use = \\Junk
    auto = create
  }}
  mailbox Everything {{
    special_use = \\All
  }}
  mailbox Bin {{
    special_use = \\Trash
    auto = create
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


_OAUTH = """
tokeninfo_url = {issuer}tokeninfo?access_token=
username_attribute = email
"""


class TokenIssuer:
    """Gives tokens to the application `app-1` for its secret (RFC 6749, 4.4), and tells servers whose they are."""

    def __init__(self, secret: str) -> None:
        self._secret, self._tokens = secret, set[str]()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                known = {"grant_type": "client_credentials", "client_id": "app-1", "client_secret": issuer._secret}
                if known.items() <= form.items() and form.get("scope"):
                    issuer._tokens.add(token := secrets.token_hex())
                    self._send(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})
                else:
                    self._send(400, {"error": "invalid_client"})

            def do_GET(self) -> None:
                token = dict(parse_qsl(urlsplit(self.path).query)).get("access_token")
                self._send(*((200, {"email": USER}) if token in issuer._tokens else (401, {"error": "invalid_token"})))

            def _send(self, status: int, answer: dict[str, object]) -> None:
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class ImapServer:
    """One account, `USER`, whose folders `client` fills as a mail program would."""

    def __init__(self, folder: Path, password: str) -> None:
        self._folder, self._password = folder, password
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.tls_port = one.getsockname()[1], other.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.ca_file = folder / "cert.pem"
        self.issuer = TokenIssuer(password)
        _write_certificate(folder)
        self._configure()

    def start(self) -> None:
        assert _DOVECOT is not None
        command = [_DOVECOT, "-F", "-c", str(self._folder / "dovecot.conf")]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < until, self.said()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            # Asked politely, it waits for those who are signed in.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def said(self) -> str:
        """What the server logged."""
        log = self._folder / "log"
        return log.read_text() if log.exists() else "Dovecot logged nothing"

    @contextmanager
    def client(self, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """Another mail program, with a folder open."""
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=10) as client:
            client.login(USER, self._password)
            assert client.select(f'"{folder}"')[0] == "OK"
            yield client

    def empty(self) -> None:
        """Forget every folder and message."""
        shutil.rmtree(self._folder / "home" / "mail", ignore_errors=True)

    def count_anew(self) -> None:
        """Lose the inbox's list of UIDs, as a restored backup does: its messages get others, under another validity."""
        for file in (self._folder / "home" / "mail").glob("dovecot*"):
            file.unlink()
        time.sleep(1.01)  # A validity is a time in seconds.

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as tried:
                return tried.recv(4) == b"* OK"
        except OSError:
            return False

    def _configure(self) -> None:
        own = getpass.getuser()
        is_root = os.getuid() == 0
        internal, login = ("dovecot", "dovenull") if is_root else (own, own)
        mail = pwd.getpwnam("dovenull" if is_root else own)
        (self._folder / "home").mkdir()
        if is_root:
            os.chown(self._folder / "home", mail.pw_uid, mail.pw_gid)
        text = _CONFIGURATION.format(
            folder=self._folder,
            internal=internal,
            internal_group=_group_of(internal),
            login=login,
            mail=mail.pw_uid,
            mail_group=mail.pw_gid,
            password=self._password,
            port=self.port,
            tls_port=self.tls_port,
        )
        (self._folder / "dovecot.conf").write_text(text)
        (self._folder / "oauth2").write_text(_OAUTH.format(issuer=self.issuer.url))


@contextmanager
def running(password: str) -> Iterator[ImapServer]:
    """A server for as long as the block lasts; skips the test where Dovecot is not installed."""
    if _DOVECOT is None:
        pytest.skip("no IMAP server: install Debian's dovecot-imapd")
    # Not below pytest's own folder: that is closed to the users Dovecot runs as.
    with tempfile.TemporaryDirectory(prefix="footnote-imap-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = ImapServer(Path(folder), password)
        server.start()
        try:
            yield server
        finally:
            server.stop()
            server.issuer.close()


def _group_of(user: str) -> str:
    import grp

    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

"""A repository as its people change it, and Git's own server over HTTP, which asks for a password."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_WHO = "Ana <ana@example.org>"


class Repository:
    """A bare repository, one commit for each change; commits are a minute apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._minutes = 0
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(folder), inside=False)

    def git(self, *arguments: str, stdin: bytes = b"", inside: bool = True) -> str:
        command = ["git", *((f"--git-dir={self.folder}",) if inside else ()), *arguments]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{role}_{what}": "ana" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=True)
        return done.stdout.decode("utf-8", "replace").strip()

    def commit(self, files: Mapping[str, bytes | None], *, branch: str = "main", parents: tuple[str, ...] = ()) -> str:
        """Write files, None removing one; `parents` other than the branch's head are named. Returns the commit."""
        self._minutes += 1
        lines = [f"commit refs/heads/{branch}", f"committer {_WHO} {1_750_000_000 + 60 * self._minutes} +0000"]
        stream = "\n".join([*lines, "data 1", "c", ""]).encode()
        if parents:
            stream += f"from {parents[0]}\n".encode() + b"".join(f"merge {one}\n".encode() for one in parents[1:])
        elif self.head(branch):
            stream += f"from refs/heads/{branch}^0\n".encode()
        for path, content in files.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            if content is None:
                stream += f"D {quoted}\n".encode()
            else:
                stream += f"M 100644 inline {quoted}\ndata {len(content)}\n".encode() + content + b"\n"
        self.git("fast-import", "--quiet", "--force", stdin=stream + b"\ndone\n")
        return self.head(branch)

    def add_entries(self, *entries: tuple[str, str, str, bytes], branch: str = "main") -> str:
        """Commit a tree of exactly these entries (mode, kind, object, name), which git itself may find indecent."""
        raw = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(one)
            for mode, _kind, one, name in sorted(
                entries, key=lambda entry: entry[3] + (b"/" if entry[1] == "tree" else b"")
            )
        )
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
        commit = self.git("commit-tree", tree, "-m", "c", *(("-p", self.head(branch)) if self.head(branch) else ()))
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def tree(self, name: str, content: bytes) -> str:
        raw = b"100644 " + name.encode() + b"\0" + bytes.fromhex(self.blob(content))
        return self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)

    def head(self, branch: str = "main") -> str:
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        except subprocess.CalledProcessError:
            return ""

    def at(self, commit: str, path: str) -> str:
        """The id of what stands at a path in a commit."""
        return self.git("rev-parse", f"{commit}:{path}")


class GitServer:
    """`git http-backend` on 127.0.0.1 over every repository below a folder, for one user and password."""

    def __init__(self, root: Path, user: str, password: str) -> None:
        self._root, self._password = root, password
        self._welcome = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.busy: list[float] = []
        self.redirect_to: str | None = None
        self.says: str | None = None
        self.seen_authorization: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        # The server looks for its own end every half second, unless told otherwise.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self._body())

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _answer(self, body: bytes) -> None:
                if outer.busy:
                    return self._end(429, {"Retry-After": f"{outer.busy.pop():g}"})
                if outer.says is not None:
                    return self._end(500, {"Content-Type": "text/plain"}, outer.says.encode())
                authorization = self.headers.get("Authorization", "")
                outer.seen_authorization.append(authorization)
                if outer.redirect_to:
                    return self._end(301, {"Location": outer.redirect_to + self.path})
                if authorization != outer._welcome:
                    return self._end(401, {"WWW-Authenticate": 'Basic realm="git"'})
                return self._backend(body)

            def _backend(self, body: bytes) -> None:
                path, _, query = self.path.partition("?")
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_PROJECT_ROOT": str(outer._root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REMOTE_USER": "ana",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "CONTENT_LENGTH": str(len(body)),
                }
                done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
                self._end(int(headers.pop("Status", "200").split()[0]), headers, content)

            def _end(self, status: int, headers: Mapping[str, str], content: bytes = b"") -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

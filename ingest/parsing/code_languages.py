"""Languages of source code: the endings and interpreters that tell them, and what their definitions look like."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_SUFFIXES = {
    "python": "py pyi pyw",
    "javascript": "js jsx mjs cjs",
    "typescript": "ts tsx mts",
    "java": "java",
    "kotlin": "kt kts",
    "scala": "scala",
    "groovy": "groovy gradle",
    "csharp": "cs",
    "fsharp": "fs fsx",
    "visualbasic": "vb vbs bas",
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx cu mm",
    "go": "go",
    "rust": "rs",
    "swift": "swift",
    "dart": "dart",
    "php": "php",
    "ruby": "rb",
    "perl": "pl pm",
    "lua": "lua",
    "r": "r",
    "julia": "jl",
    "matlab": "m",
    "haskell": "hs",
    "ocaml": "ml",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "clojure": "clj cljs",
    "lisp": "lisp el scm",
    "shell": "sh bash zsh",
    "powershell": "ps1 psm1",
    "batch": "bat cmd",
    "sql": "sql",
    "graphql": "graphql",
    "protobuf": "proto thrift",
    "solidity": "sol",
    "terraform": "tf tfvars hcl",
    "cmake": "cmake mk",
    "css": "css scss sass less",
    "vue": "vue svelte",
    "verilog": "v sv vhd",
    "assembly": "asm",
    "config": "toml ini cfg conf properties yaml yml nix",
}
BY_SUFFIX = {f".{suffix}": language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_INTERPRETER = (
    ("python", "python"),
    ("node", "javascript"),
    ("deno", "typescript"),
    ("ruby", "ruby"),
    ("perl", "perl"),
    ("php", "php"),
    ("lua", "lua"),
    ("Rscript", "r"),
    ("julia", "julia"),
    ("pwsh", "powershell"),
    ("sh", "shell"),
)

_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|fileprivate|static|final|abstract|sealed|override"
    r"|virtual|async|synchronized|partial|native|open|data|inline|suspend|unsafe|extern|readonly|const|pub(?:\([^)]*\))?"
    r"|case|implicit|lazy|mutating)\s+)"
)
_TYPES = r"(?:class|interface|enum|record|struct|trait|object|namespace|module|protocol|extension|union|actor|contract)"
_NO_CALL = r"(?!(?:if|for|while|switch|catch|return|else|do|using|lock|foreach|with|new|throw|await|yield|super)\b)"
_TYPE = rf"\s*{_MODIFIERS}*{_TYPES}\s+\w"
_METHOD = rf"\s*{_MODIFIERS}+{_NO_CALL}[\w<>\[\],.?\s]+\([^;]*$"
_SCRIPT = (
    rf"{_TYPE}|\s*{_MODIFIERS}*function\b\s*\*?\s*\w"
    r"|(?:export\s+)?(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:function\b|\([^()]*\)\s*(?::[^=]*)?=>|\w+\s*=>)"
    rf"|\s+{_MODIFIERS}*(?:get\s+|set\s+)?{_NO_CALL}[\w$#]+\([^()]*\)\s*(?::[^{{]*)?\{{\s*$"
)
_C = (
    rf"(?:typedef\s+)?(?:template\s*<[^;]*>\s*)?(?:class|struct|enum|union|namespace)\s+[\w:]+[^;]*$"
    rf"|{_NO_CALL}[A-Za-z_][\w\s*&:<>,~\[\]]*\([^;{{}}]*(?:\)\s*(?:const|noexcept|override|\s)*\{{?)?\s*$"
)
_PATTERNS = {
    "python": r"\s*(?:async\s+def|def)\s+\w+\s*[(\[]|\s*class\s+\w+\s*[:(\[]",
    "ruby": r"\s*(?:def|class|module)\s+[\w:.]",
    "go": r"func\s|type\s+\w+",
    "rust": rf"\s*{_MODIFIERS}*(?:fn|struct|enum|trait|mod|union)\s+\w|\s*(?:unsafe\s+)?impl\b|\s*macro_rules!",
    "php": rf"{_TYPE}|\s*{_MODIFIERS}*function\s+&?\w",
    "kotlin": rf"{_TYPE}|\s*{_MODIFIERS}*fun\s",
    "swift": rf"{_TYPE}|\s*{_MODIFIERS}*(?:func\s|init\b)",
    "scala": rf"{_TYPE}|\s*{_MODIFIERS}*def\s+\w",
    "dart": rf"{_TYPE}|{_METHOD}|(?:[\w<>?]+\s+)?\w+\([^;]*\{{\s*$",
    "lua": r"\s*(?:local\s+)?function\s+[\w.:]+",
    "julia": r"\s*(?:function|struct|mutable\s+struct|module|macro)\s+\w",
    "r": r"\s*[\w.]+\s*(?:<-|=)\s*function\b",
    "matlab": r"\s*(?:function|classdef)\b",
    "perl": r"\s*(?:sub|package)\s+\w",
    "shell": r"\s*(?:function\s+[\w-]+|[\w-]+\s*\(\))",
    "powershell": r"\s*(?:function|filter|class|workflow)\s+[\w-]",
    "elixir": r"\s*(?:def|defp|defmodule|defmacro|defprotocol|defimpl)\s+\w",
    "haskell": r"(?:module|class|instance|data|newtype|type)\s+\w|\w+\s*::",
    "sql": r"\s*(?i:create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+|materialized\s+)?"
    r"(?:table|view|function|procedure|trigger|index|type|schema|package)|alter\s+table)\b",
    "protobuf": r"\s*(?:message|service|enum|struct|exception)\s+\w",
    "graphql": r"(?:extend\s+)?(?:type|input|enum|interface|union|scalar|query|mutation|fragment)\s+\w",
    "terraform": r"(?:resource|data|module|variable|output|provider|locals|terraform)\b[^=]*\{",
    "visualbasic": r"\s*(?i:(?:(?:public|private|friend|shared)\s+)*(?:sub|function|class|module|property)\s+\w)",
    "clojure": r"\(def\w*-?\s",
    "lisp": r"\(def\w*\s",
    "config": r"\s*\[{1,2}[^\]\[]+\]{1,2}\s*$",
    **dict.fromkeys(("javascript", "typescript", "vue"), _SCRIPT),
    **dict.fromkeys(("java", "csharp", "groovy", "solidity"), rf"{_TYPE}|{_METHOD}|\s*{_MODIFIERS}*function\s+\w"),
    **dict.fromkeys(("c", "cpp"), _C),
}
DEFINITIONS = {language: re.compile(pattern) for language, pattern in _PATTERNS.items()}
"""What the first line of a definition begins with, for the languages that have such lines."""


def media_type(language: str) -> str:
    """The media type of source code in a language."""
    return f"text/x-{language}"


MEDIA_TYPES = {media_type(language): language for language in _SUFFIXES}


def by_shebang(line: str) -> str:
    """The language of a script by its first line, `#!/usr/bin/env python3`; nothing for an unknown interpreter."""
    words = line.removeprefix("#!").split()
    program = PurePosixPath(words[0]).name if words else ""
    if program == "env":
        program = next((word for word in words[1:] if not word.startswith("-")), "")
    return next((language for start, language in _BY_INTERPRETER if program.startswith(start)), _shell(program))


def _shell(program: str) -> str:
    return "shell" if program.endswith("sh") else ""

"""What the names of LaTeX mean to a reader of text: which commands show a character, which take what is not shown."""

from __future__ import annotations

import unicodedata

# Combining characters by the commands that put them on the letter that follows (LaTeX2e, 23.5).
_ACCENTS = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "u": "\u0306",
    ".": "\u0307",
    '"': "\u0308",
    "r": "\u030a",
    "H": "\u030b",
    "v": "\u030c",
    "d": "\u0323",
    "c": "\u0327",
    "k": "\u0328",
    "b": "\u0331",
}
SYMBOLS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "l": "ł",
    "L": "Ł", "i": "ı", "j": "ȷ", "dh": "ð", "th": "þ", "S": "§", "P": "¶", "copyright": "©", "pounds": "£",
    "euro": "€", "texteuro": "€", "EUR": "€", "dots": "…", "ldots": "…", "textellipsis": "…", "textendash": "–",
    "textemdash": "—", "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textbar": "|",
    "textless": "<", "textgreater": ">", "textbullet": "•", "textdegree": "°", "degree": "°", "textregistered": "®",
    "texttrademark": "™", "textquotedblleft": "“", "textquotedblright": "”", "textquoteleft": "‘",
    "textquoteright": "’", "glqq": "„", "grqq": "“", "flqq": "«", "frqq": "»", "LaTeX": "LaTeX", "TeX": "TeX",
    "LaTeXe": "LaTeX2e", "BibTeX": "BibTeX", "quad": " ", "qquad": " ", "space": " ", "newline": " ",
    "%": "%", "&": "&", "$": "$", "#": "#", "_": "_", "{": "{", "}": "}", " ": " ", ",": " ", ";": " ", ":": " ",
    "!": "", "-": "", "/": "", "@": "", "\n": " ",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "times": "×",
    "cdot": "·", "div": "÷", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠",
    "approx": "≈", "infty": "∞", "to": "→", "rightarrow": "→", "leftarrow": "←", "Rightarrow": "⇒", "in": "∈",
    "sum": "∑", "prod": "∏", "int": "∫", "partial": "∂", "nabla": "∇", "forall": "∀", "exists": "∃",
}  # fmt: skip
SECTIONS = {
    "part": 1,
    "chapter": 1,
    "section": 2,
    "subsection": 3,
    "subsubsection": 4,
    "paragraph": 5,
    "subparagraph": 6,
    "frametitle": 2,
    "framesubtitle": 3,
}


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


# How many groups after a command are not shown, by their number.
NOT_SHOWN = {
    1: _names(
        "documentclass documentstyle usepackage RequirePackage input include includeonly label ref eqref pageref "
        "autoref cref Cref nameref cite citep citet citeauthor citeyear parencite textcite autocite footcite nocite "
        "bibliography bibliographystyle addbibresource includegraphics graphicspath pagestyle thispagestyle "
        "pagenumbering vspace hspace vskip hskip newcounter usetikzlibrary lstset hypersetup geometry "
        "lstinputlisting verbatiminput includepdf index glsreset selectlanguage fontsize usetheme usecolortheme "
        "useoutertheme useinnertheme setmainfont color cline cmidrule hyphenation phantom hphantom vphantom "
        "DeclareGraphicsExtensions bibitem columnwidth tableofcontents"
    ),
    2: _names(
        "setlength addtolength setcounter addtocounter newcommand renewcommand providecommand newcommandx "
        "DeclareMathOperator newtheorem definecolor setbeamertemplate setbeamercolor setbeamerfont pgfplotsset "
        "newlength addcontentsline inputminted DeclareRobustCommand rule fancyhead fancyfoot titleformat "
        "newacronym hypertarget"
    ),
    3: _names(
        "newenvironment renewenvironment newglossaryentry titlespacing DeclareDocumentCommand NewDocumentCommand"
    ),
}
# Commands whose first group is not shown and whose second is.
SECOND_SHOWN = _names("href textcolor colorbox hyperref foreignlanguage raisebox parbox resizebox scalebox fontspec")
VERBATIM = _names("verbatim verbatim* Verbatim lstlisting minted alltt BVerbatim listing code")
UNSEEN = _names("comment tikzpicture filecontents filecontents* pgfpicture")
LISTS = _names("itemize enumerate description compactitem compactenum")
TABLES = _names("tabular tabular* tabularx tabulary longtable longtabu tabu tblr supertabular array")
MATH = _names(
    "equation equation* align align* gather gather* multline multline* eqnarray eqnarray* displaymath math flalign"
)
SKIPPED_COUNT = {name: count for count, names in NOT_SHOWN.items() for name in names}


def accented(accent: str, letter: str) -> str:
    """A letter with its accent, composed where Unicode has it; the letter alone for what is none."""
    base = {"\u0131": "i", "\u0237": "j"}.get(letter, letter)
    return unicodedata.normalize("NFC", base + _ACCENTS[accent]) if base else ""


ACCENTS = frozenset(_ACCENTS)

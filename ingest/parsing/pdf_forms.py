"""What has been filled in on a PDF: the values of form fields, and text typed over a page."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

_ANNOTATIONS = 2_000
_VALUE_BYTES = 64 * 1024
# Bits of an annotation's flags (ISO 32000-1, table 165) and of a text field's (table 228).
_HIDDEN = 0x02 | 0x20
_PASSWORD = 1 << 13
_CHECKED, _UNCHECKED = "☒", "☐"


def has_form(document: pdfium.PdfDocument) -> bool:
    """Whether the document has fields; forms must be initialized before pages are loaded, which takes time."""
    return bool(document.get_formtype() != pdfium_c.FORMTYPE_NONE)


def filled_in(document: pdfium.PdfDocument, page: pdfium.PdfPage) -> list[str]:
    """A line for each field of the page with a value, `label: value`, and each text that was typed over the page."""
    count = min(pdfium_c.FPDFPage_GetAnnotCount(page.raw), _ANNOTATIONS)
    lines = []
    for index in range(count):
        with _annotation(page, index) as annotation:
            if pdfium_c.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
            if kind == pdfium_c.FPDF_ANNOT_WIDGET and document.formenv:
                lines.append(_field(document.formenv.raw, annotation))
            elif kind == pdfium_c.FPDF_ANNOT_FREETEXT:
                lines.append(
                    _string(lambda *out, one=annotation: pdfium_c.FPDFAnnot_GetStringValue(one, b"Contents", *out))
                )
    return list(dict.fromkeys(line for line in lines if line.strip()))


@contextmanager
def _annotation(page: pdfium.PdfPage, index: int) -> Iterator[ctypes._Pointer[ctypes.Structure]]:
    annotation = pdfium_c.FPDFPage_GetAnnot(page.raw, index)
    try:
        yield annotation
    finally:
        pdfium_c.FPDFPage_CloseAnnot(annotation)


def _field(form: ctypes._Pointer[ctypes.Structure], annotation: ctypes._Pointer[ctypes.Structure]) -> str:
    """`label: value`, the label as a reader is told it; nothing for a button, a password or an empty field."""
    kind = pdfium_c.FPDFAnnot_GetFormFieldType(form, annotation)
    label = _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldAlternateName(form, annotation, *out))
    label = label or _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldName(form, annotation, *out))
    if kind == pdfium_c.FPDF_FORMFIELD_CHECKBOX:
        return f"{_CHECKED if pdfium_c.FPDFAnnot_IsChecked(form, annotation) else _UNCHECKED} {label}"
    if kind == pdfium_c.FPDF_FORMFIELD_RADIOBUTTON:
        if not pdfium_c.FPDFAnnot_IsChecked(form, annotation):
            return ""
        value = _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldExportValue(form, annotation, *out))
    elif kind in (pdfium_c.FPDF_FORMFIELD_COMBOBOX, pdfium_c.FPDF_FORMFIELD_LISTBOX):
        value = ", ".join(_chosen(form, annotation)) or _value(form, annotation)
    elif kind == pdfium_c.FPDF_FORMFIELD_TEXTFIELD:
        is_secret = pdfium_c.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD
        value = "" if is_secret else _value(form, annotation)
    else:
        return ""
    return f"{label}: {value}" if value.strip() else ""


def _value(form: ctypes._Pointer[ctypes.Structure], annotation: ctypes._Pointer[ctypes.Structure]) -> str:
    return _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldValue(form, annotation, *out))


def _chosen(form: ctypes._Pointer[ctypes.Structure], annotation: ctypes._Pointer[ctypes.Structure]) -> Iterator[str]:
    for index in range(min(pdfium_c.FPDFAnnot_GetOptionCount(form, annotation), _ANNOTATIONS)):
        if pdfium_c.FPDFAnnot_IsOptionSelected(form, annotation, index):
            yield _string(lambda *out, at=index: pdfium_c.FPDFAnnot_GetOptionLabel(form, annotation, at, *out))


def _string(get: Callable[..., int]) -> str:
    """What a function of PDFium writes in UTF-16 into the buffer that it is given with its size in bytes."""
    size = min(get(None, 0), _VALUE_BYTES)
    if size <= 2:
        return ""
    buffer = (pdfium_c.FPDF_WCHAR * (size // 2 + 1))()
    get(buffer, size)
    return bytes(buffer)[: size - 2].decode("utf-16-le", "replace")

"""What is compiled at installation; everything else stands in pyproject.toml.

No part of it is needed anywhere, so that a machine without a C compiler installs as well: OpenVINO, NumPy and FAISS
then do the same.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "governance._flags",
            ["governance/native/flags.c"],
            extra_compile_args=["-O3", "-fvisibility=hidden"],
            optional=True,
        ),
        Extension(
            "inference._bert_amx",
            ["inference/native/bert_amx.c"],
            extra_compile_args=["-O3", "-fvisibility=hidden"],
            optional=True,
        ),
        Extension(
            "retrieval._bm25",
            ["retrieval/native/bm25.c"],
            # A product and a sum stay two operations: a score has the same bits as NumPy gives it.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fvisibility=hidden"],
            optional=True,
        ),
        Extension(
            "retrieval._scan",
            ["retrieval/native/scan.c"],
            # And an estimate has the same bits on every processor.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fvisibility=hidden"],
            optional=True,
        ),
    ]
)

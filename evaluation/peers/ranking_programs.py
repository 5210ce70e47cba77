"""Run by each peer's own Python: documents into that peer's own index, then documents ranked for each question.

Run as `python ranking_programs.py SYSTEM CHUNKS QUESTIONS STORE RESULT`. `CHUNKS` is a file of JSON lines {"document",
"text"}, `QUESTIONS` one of {"id", "text"}, `STORE` an empty folder. `RESULT` receives one JSON object: for each
question's id the ids of documents, best first, a document as its best chunk. Vectors come from whoever runs this: a
line of JSON, a list of texts, goes to the standard output, and a line with as many vectors of 32-bit floats, in base64,
comes back. Each peer searches as its documentation shows it, by words and vectors together where it can. Imports
nothing of ours.
"""
# Peers are not installed where types are checked.
# mypy: ignore-errors

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

DEPTH = 100
"""How many chunks each way of searching finds, and the fusion of them keeps."""

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts in, (n, d) vectors of length 1 out."""
Search = Callable[[str], Sequence[str]]
"""A question in, the documents of the best chunks out, best first; a document may come several times."""


def llama_index(chunks: list[dict], embed: Embed, store: Path) -> Search:
    """QueryFusionRetriever by reciprocal ranks over a vector index (FAISS, flat) and BM25Retriever (English stems)."""
    import faiss
    from llama_index.core import Settings, StorageContext, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.retrievers.bm25 import BM25Retriever
    from llama_index.vector_stores.faiss import FaissVectorStore

    class Given(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return embed([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embed(texts).tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return embed([query])[0].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    Settings.llm, Settings.embed_model = MockLLM(), Given(embed_batch_size=1_000)
    nodes = [
        TextNode(
            text=chunk["text"],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=chunk["document"])},
        )
        for chunk in chunks
    ]
    vectors = FaissVectorStore(faiss_index=faiss.IndexFlatIP(embed(["size"]).shape[1]))
    index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(vector_store=vectors))
    depth = min(DEPTH, len(nodes))
    retriever = QueryFusionRetriever(
        [
            index.as_retriever(similarity_top_k=depth),
            BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=depth),
        ],
        mode="reciprocal_rerank",
        num_queries=1,
        similarity_top_k=DEPTH,
        use_async=False,
    )
    return lambda question: [found.node.ref_doc_id for found in retriever.retrieve(question)]


def haystack(chunks: list[dict], embed: Embed, store: Path) -> Search:
    """InMemoryBM25Retriever and InMemoryEmbeddingRetriever, joined by reciprocal ranks."""
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    documents = InMemoryDocumentStore(embedding_similarity_function="cosine")
    vectors = embed([chunk["text"] for chunk in chunks])
    documents.write_documents(
        [
            # The number is part of it, for two documents may hold the same chunk.
            Document(
                content=chunk["text"], embedding=vector.tolist(), meta={"document": chunk["document"], "number": number}
            )
            for number, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True))
        ]
    )
    words = InMemoryBM25Retriever(documents, top_k=DEPTH)
    dense = InMemoryEmbeddingRetriever(documents, top_k=DEPTH)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=DEPTH)

    def search(question: str) -> list[str]:
        both = [
            words.run(query=question)["documents"],
            dense.run(query_embedding=embed([question])[0].tolist())["documents"],
        ]
        return [found.meta["document"] for found in joiner.run(documents=both)["documents"]]

    return search


def langchain(chunks: list[dict], embed: Embed, store: Path) -> Search:
    """EnsembleRetriever with equal weights over BM25Retriever (words in lower case) and FAISS."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return embed([text])[0].tolist()

    texts = [chunk["text"] for chunk in chunks]
    # The number is part of it, for two documents may hold the same chunk, and the fusion tells chunks apart by it.
    numbers = [{"number": number} for number in range(len(chunks))]
    words = BM25Retriever.from_texts(
        texts, numbers, preprocess_func=lambda text: re.findall(r"\w+", text.lower()), k=DEPTH
    )
    dense = FAISS.from_texts(texts, Given(), numbers).as_retriever(search_kwargs={"k": DEPTH})
    retriever = EnsembleRetriever(retrievers=[words, dense], weights=[0.5, 0.5], id_key="number")
    return lambda question: [chunks[found.metadata["number"]]["document"] for found in retriever.invoke(question)]


def txtai(chunks: list[dict], embed: Embed, store: Path) -> Search:
    """Embeddings with `hybrid=True`, its scores of words and vectors weighed alike."""
    from txtai import Embeddings

    def transform(texts: Sequence[str]) -> np.ndarray:
        return embed(list(texts))

    embeddings = Embeddings(method="external", transform=transform, hybrid=True)
    embeddings.index((number, chunk["text"], None) for number, chunk in enumerate(chunks))
    return lambda question: [chunks[number]["document"] for number, _ in embeddings.search(question, DEPTH)]


def chroma(chunks: list[dict], embed: Embed, store: Path) -> Search:
    """A persistent collection with cosines; it has no search by words of its own on one machine."""
    import chromadb

    client = chromadb.PersistentClient(path=str(store))
    collection = client.create_collection(
        "chunks", embedding_function=None, configuration={"hnsw": {"space": "cosine", "ef_search": 2 * DEPTH}}
    )
    vectors = embed([chunk["text"] for chunk in chunks])
    at_once = client.get_max_batch_size()
    for at in range(0, len(chunks), at_once):
        some = range(at, min(at + at_once, len(chunks)))
        collection.add(ids=[str(number) for number in some], embeddings=vectors[at : at + at_once])

    def search(question: str) -> list[str]:
        found = collection.query(query_embeddings=embed([question]), n_results=min(DEPTH, len(chunks)), include=[])
        return [chunks[int(number)]["document"] for number in found["ids"][0]]

    return search


SYSTEMS: dict[str, Callable[[list[dict], Embed, Path], Search]] = {
    "llama-index": llama_index,
    "haystack": haystack,
    "langchain": langchain,
    "txtai": txtai,
    "chroma": chroma,
}


def asking(channel, answers) -> Embed:
    """Embeds by asking whoever runs this, a thousand texts at a time."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        parts = []
        for at in range(0, len(texts), 1_000):
            some = [str(text) for text in texts[at : at + 1_000]]
            channel.write(json.dumps(some) + "\n")
            channel.flush()
            raw = base64.b64decode(answers.readline())
            parts.append(np.frombuffer(raw, np.float32).reshape(len(some), -1))
        return np.concatenate(parts)

    return embed


def main(arguments: Sequence[str]) -> None:
    """Index the chunks, then rank the documents for each question."""
    system, chunks, questions, store, result = arguments
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no question of ours
    search = SYSTEMS[system](_lines(chunks), asking(channel, sys.stdin), Path(store))
    ranked = {one["id"]: list(dict.fromkeys(search(one["text"]))) for one in _lines(questions)}
    Path(result).write_text(json.dumps(ranked), "utf-8")


def _lines(file: str) -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main(sys.argv[1:])

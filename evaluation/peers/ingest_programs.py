"""Run by each peer's own Python: a folder of documents into that peer's own store, as its documentation shows it.

Run as `python ingest_programs.py SYSTEM FOLDER MODEL STORE RESULT`: `MODEL` is a folder of sentence-transformers,
`STORE` an empty folder for what the peer keeps, `RESULT` receives one JSON line for each chunk, its text as it was
embedded. Each reads with its own loaders, cuts with its own splitter at its defaults, or where the class has none that
are used, as its tutorial does. Imports nothing of ours.
"""
# Peers are not installed where types are checked.
# mypy: ignore-errors

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def llama_index(folder: Path, model: str, store: Path) -> list[str]:
    """SimpleDirectoryReader, SentenceSplitter at 1024 tokens of its own counting, SimpleVectorStore on disk."""
    return _llama_index(folder, model, store)


def llama_index_fitting(folder: Path, model: str, store: Path) -> list[str]:
    """The same with chunks that the model can read whole."""
    from llama_index.core import Settings

    Settings.chunk_size, Settings.chunk_overlap = 200, 20
    return _llama_index(folder, model, store)


def _llama_index(folder: Path, model: str, store: Path) -> list[str]:
    from llama_index.core import Settings, SimpleDirectoryReader, VectorStoreIndex
    from llama_index.core.schema import MetadataMode
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    Settings.embed_model = HuggingFaceEmbedding(model_name=model)
    documents = SimpleDirectoryReader(str(folder), recursive=True).load_data()
    index = VectorStoreIndex.from_documents(documents)
    index.storage_context.persist(persist_dir=str(store))
    nodes = index.docstore.docs.values()
    return [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def haystack(folder: Path, model: str, store: Path) -> list[str]:
    """MultiFileConverter, DocumentPreprocessor, the embedder and a writer; the in-memory store, saved to disk."""
    from haystack import Pipeline
    from haystack.components.converters import MultiFileConverter
    from haystack.components.preprocessors import DocumentPreprocessor
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersDocumentEmbedder

    documents = InMemoryDocumentStore()
    pipeline = Pipeline()
    pipeline.add_component("converter", MultiFileConverter())
    pipeline.add_component("preprocessor", DocumentPreprocessor())
    pipeline.add_component("embedder", SentenceTransformersDocumentEmbedder(model=model, progress_bar=False))
    pipeline.add_component("writer", DocumentWriter(documents))
    pipeline.connect("converter", "preprocessor")
    pipeline.connect("preprocessor", "embedder")
    pipeline.connect("embedder", "writer")
    pipeline.run({"converter": {"sources": _files(folder)}})
    documents.save_to_disk(str(store / "documents.json"))
    return [document.content for document in documents.filter_documents()]


def langchain(folder: Path, model: str, store: Path) -> list[str]:
    """DirectoryLoader with a loader for each kind, RecursiveCharacterTextSplitter as in the tutorial, FAISS on disk."""
    from langchain_community.document_loaders import (
        BSHTMLLoader,
        DirectoryLoader,
        Docx2txtLoader,
        PyPDFLoader,
        TextLoader,
    )
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    loaders = {"md": TextLoader, "txt": TextLoader, "html": BSHTMLLoader, "pdf": PyPDFLoader, "docx": Docx2txtLoader}
    documents = [
        document
        for suffix, loader in loaders.items()
        for document in DirectoryLoader(str(folder), glob=f"**/*.{suffix}", loader_cls=loader).load()
    ]
    splits = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
    FAISS.from_documents(splits, HuggingFaceEmbeddings(model_name=model)).save_local(str(store))
    return [split.page_content for split in splits]


def txtai(folder: Path, model: str, store: Path) -> list[str]:
    """Textractor by paragraphs (its converters of PDF and Word are servers: pypdf and docx2txt here), Embeddings."""
    from txtai import Embeddings
    from txtai.pipeline import Textractor

    textractor = Textractor(paragraphs=True, backend=None)
    paragraphs: list[str] = []
    for file in _files(folder):
        converted = file.suffix in (".pdf", ".docx")
        paragraphs += textractor(_text(file) if converted else file.read_text("utf-8"))
    embeddings = Embeddings(path=model, content=True)
    embeddings.index(paragraphs)
    embeddings.save(str(store / "index"))
    return paragraphs


def chroma(folder: Path, model: str, store: Path) -> list[str]:
    """Chroma reads no files: pypdf, docx2txt, BeautifulSoup and a splitter, as its guides do, into a collection."""
    import chromadb
    from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    chunks = [chunk for file in _files(folder) for chunk in splitter.split_text(_text(file))]
    client = chromadb.PersistentClient(path=str(store))
    collection = client.create_collection(
        "documents", embedding_function=SentenceTransformerEmbeddingFunction(model_name=model)
    )
    at_once = client.get_max_batch_size()
    for at in range(0, len(chunks), at_once):
        some = chunks[at : at + at_once]
        collection.add(ids=[str(number) for number in range(at, at + len(some))], documents=some)
    return chunks


SYSTEMS: dict[str, Callable[[Path, str, Path], list[str]]] = {
    "llama-index": llama_index,
    "llama-index, chunks that fit": llama_index_fitting,
    "haystack": haystack,
    "langchain": langchain,
    "txtai": txtai,
    "chroma": chroma,
}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _text(file: Path) -> str:
    """A file's text, by the libraries that guides name for those who have no loaders of their own."""
    if file.suffix == ".pdf":
        from pypdf import PdfReader

        return "\n\n".join(page.extract_text() for page in PdfReader(file).pages)
    if file.suffix == ".docx":
        import docx2txt

        text: str = docx2txt.process(str(file))
        return text
    text = file.read_text("utf-8")
    if file.suffix == ".html":
        from bs4 import BeautifulSoup

        return str(BeautifulSoup(text, "html.parser").get_text())
    return text


def main(arguments: Sequence[str]) -> None:
    """Bring the folder in, then tell the chunks."""
    system, folder, model, store, result = arguments
    chunks = SYSTEMS[system](Path(folder), model, Path(store))
    Path(result).write_text("".join(f"{json.dumps(chunk)}\n" for chunk in chunks), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

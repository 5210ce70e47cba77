"""An index by whatever engine keeps its vectors, ours, pgvector or Milvus: one protocol, one behaviour."""

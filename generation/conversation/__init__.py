"""A question and the conversation before it come in; the question as it can be searched, and its answer, come out."""

"""Knowledge bases: reading documents, cutting them into passages, indexing and searching them."""

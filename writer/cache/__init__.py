"""Redis as the writer sees it: links, scripts, documents, traces."""

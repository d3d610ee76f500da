"""Read models: what lists, pages and scenarios show. Nothing here writes, and no gateway token ever comes out."""

"""How files are read: one format a file; a damaged file is one message that names it."""

"""Where a study's trials and files are kept: the journal, its lock, an object store, PostgreSQL."""

"""Jobs that outlive the processes that work on them: a record in SQLite, a folder each, a lock the kernel lets go."""

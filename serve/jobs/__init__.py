"""Durable jobs: rows in SQLite, a folder each, and a file lock that the kernel releases when a process dies."""

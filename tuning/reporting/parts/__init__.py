"""The sections of a report: one module each, with a function `section` that returns it, or None to leave it out."""

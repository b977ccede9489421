"""The functions behind the commands: each command parses its arguments, calls one of these and prints."""

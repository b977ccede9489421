"""How charts and pictures look, whatever the task."""

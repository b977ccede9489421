"""Where studies are kept: in a folder, or in an object store with a working copy on each machine."""

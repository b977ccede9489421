"""Jobs: searches that a Ray cluster runs by itself, their drivers too; submitted and watched over HTTP."""

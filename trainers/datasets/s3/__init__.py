"""Downloads sources from S3 into a cache on this machine."""

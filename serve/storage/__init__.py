"""Where videos come from and results go besides uploads and downloads: allowed folders and S3 prefixes."""

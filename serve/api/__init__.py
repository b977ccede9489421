"""The HTTP application: access, uploads, jobs, results, metrics and the web page. It does not depend on Ray."""

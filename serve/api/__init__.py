"""The HTTP application: who may do what, uploads, jobs, results, metrics and the page. It knows nothing of Ray."""

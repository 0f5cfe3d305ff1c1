"""One module per resource: read the request, call core, answer."""

"""The HTTP API: what the command line answers, over `/v1`, as JSON."""

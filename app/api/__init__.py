"""The HTTP API in OpenAI's protocol: server, requests and answers, errors, documentation."""

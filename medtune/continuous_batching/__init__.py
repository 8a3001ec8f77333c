"""Continuous batching for the chat: requests join a running batch and leave it when they are done;
and the log-probabilities of given texts. The server itself is `app`, whose `request_queue`
decides which requests join. Imports generation and what that imports.
"""

"""Continuous batching for the chat: requests join a running batch and leave it when they are done;
and the scores of given texts. Imports generation and what that imports. Used by the app, whose
`engine` decides which requests join.
"""

"""Continuous batching: requests join a running batch and leave it when they are done; and the
log-probabilities of given texts. Its cache builds on that of `medtune.generation`;
`app.request_queue` decides which requests join.
"""

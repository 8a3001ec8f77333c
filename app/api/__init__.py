"""The HTTP API in OpenAI's protocol.

`server` puts it together. Each of the two ways to ask has its routes and its bodies: `chat_…` for
conversations, `text_…` for prompts that are continued and texts that are scored.
"""

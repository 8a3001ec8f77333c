"""The HTTP API in OpenAI's protocol.

`server` puts it together. Each of the two ways to ask has its routes and its bodies: `chat_…` for
conversations, `text_…` for prompts that are continued and texts that are scored. Both take the
types of their `fields` from there; `errors` gives refusals their form and status.
"""

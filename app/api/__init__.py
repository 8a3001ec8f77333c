"""The HTTP API in OpenAI's protocol, with its documentation and the files of the React page.

`server` puts it together. Each of the two ways to ask has its routes and its bodies: `chat_…` for
conversations, `text_…` for prompts that are continued and texts that are scored. They share the
types of `field_types`, and `disconnects`, which stops work for a client that has left; `streaming`
sends the answer in a conversation piece by piece. `model_routes` lists the models, and
`status_routes` says whether the server is ready. `middleware` first checks a request's key and
size; `error_responses` gives refusals their form and status. `docs` serves /docs, `static` /web.
"""

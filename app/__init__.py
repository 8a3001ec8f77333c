"""The chat: a Gradio page, a React page and an API over one loaded base and fine-tuned model.

- `engine` queues and admits requests; `assistant` turns a conversation into a prompt and a reply.
- `remarks` are the guard's notices, `limits` the limits of a server, `loading` loads the models,
  `feedback_file` keeps votes and ratings.
- `api/` is the HTTP server, `gradio_page/` the page at `/`, `web/` the optional page at `/web`.
"""

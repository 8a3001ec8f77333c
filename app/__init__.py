"""The chat: a Gradio page, a React page and an API over one loaded base and fine-tuned model.

- `api/` is the HTTP server, `gradio_page/` the page at `/`, `web/` the optional page at `/web`.
- `assistant` turns a conversation into a prompt and a reply; `text_completion` continues prompts
  that are no conversations, and scores texts; `stop_strings` ends answers.
- `request_queue` decides which requests run; `continuous_batching/` answers them in one batch,
  which they join and leave at any time.
- `guard_remarks` are the fixed texts that the guard puts around or in place of an answer.
- `limits` holds the limits of a request and of the server; `connections` applies those to
  connections.
- `loading` loads models; `feedback_file` keeps votes and ratings; `__main__` is `medtune chat`.
"""

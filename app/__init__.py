"""The chat: a Gradio page, a React page and an API over one loaded base and fine-tuned model.

- `continuous_batching/` answers, in one batch, requests that come and go; `request_queue` decides
  which run; `assistant` turns a conversation into a prompt and a reply;
  `guard_remarks` are the guard's notices.
- `limits` are those of a server, `loading` loads models, `feedback_file` keeps votes and ratings.
- `api/` is the HTTP server, `gradio_page/` the page at `/`, `web/` the optional page at `/web`.
"""

"""The chat server: chat pages and an API in OpenAI's protocol for base and fine-tuned model."""

"""The assistant: an API over base and fine-tuned model, in OpenAI's protocol."""

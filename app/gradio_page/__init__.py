"""The chat page at `/`, made with Gradio: its layout, events and texts, and its conversations."""

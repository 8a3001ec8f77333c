"""The chat page at `/`, made with Gradio: its tabs (chat, comparison, blind test and quiz), its
conversations, ratings and notices of emergencies, the nearest training cards beside an answer, and
the filter that lets only the page's own events through.
"""

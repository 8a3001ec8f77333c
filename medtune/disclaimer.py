"""The disclaimer of every page, report and answer."""

DISCLAIMER = "For education and research only, never medical advice."

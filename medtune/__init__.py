"""What two stages, or a stage and the app, share."""

DISCLAIMER = "For education and research only, never medical advice."

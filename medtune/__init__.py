"""What two stages, or a stage and the app, share."""

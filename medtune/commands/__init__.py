"""The subcommands of `medtune`. Imports anything of medtune; nothing imports it."""

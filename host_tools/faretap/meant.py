"""The validator that this command is meant for: `--serial`, as it was given. "" if it was not."""

serial = ""

"""The operator's configuration: TOML in, checked against one schema, signed bundle out."""

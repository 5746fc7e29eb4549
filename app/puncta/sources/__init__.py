"""Where frames come from. `factory.open_source` turns a path or URI into something that yields frames."""

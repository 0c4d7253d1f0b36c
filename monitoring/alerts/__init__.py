"""Who is told of what happens to printers: rules, what happened, and the messages that tell of it."""

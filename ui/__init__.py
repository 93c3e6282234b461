"""The command line, the browser pages, and what they draw."""

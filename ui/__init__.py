"""Every shell a person touches: command line, contact sheets, browser."""

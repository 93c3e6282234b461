"""The routes beside the pages: what a page fetches from its own server, below `PREFIX`."""

PREFIX = "/page"

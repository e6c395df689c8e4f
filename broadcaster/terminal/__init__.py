"""The terminal: what people on call see and do from a command line.

Everything here speaks HTTP only, to a daemon's address or to its Unix socket, so that a command
can do no more than the API allows. `client` asks, `watch` follows, `tables` and `output` show,
`demo` tells the story.
"""

"""The terminal: what people on call see and do from a command line.

Every command speaks HTTP only, to a daemon's address or to its Unix socket (`target`, `client`), so
that it can do no more than the API allows. `alerts`, `status` and `upkeep` are what people do,
`service` runs a daemon, `watch` follows, `tables` and `output` show, `ending` has the exit codes.
`demo` tells the `story` with a daemon of its own (`child`) and holds it against what the receiving
side saw (`proof`).
"""

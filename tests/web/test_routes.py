"""Routes: what is checked in code is what the description says."""

from __future__ import annotations

import re

from broadcaster.web.routes import form_of


def test_a_form_is_described_as_it_is_checked() -> None:
    """A pattern must match as a whole, also where it has alternatives."""
    schema = form_of(re.compile("a|b"))
    assert schema == {"type": "string", "pattern": "^(?:a|b)$"}

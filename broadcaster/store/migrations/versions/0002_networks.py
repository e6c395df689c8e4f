"""Cards, looks, handles of two steps, and the account a channel is bound to."""

import sqlalchemy as sa
from alembic import op

from broadcaster.store.tables import metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = {
    "delivery": ("after", "card", "handle"),
    "channel": ("bound", "held"),
}


def upgrade() -> None:
    """Add what is not there: 0001 makes a new database with the tables as they are now."""
    connection = op.get_bind()
    for table, names in _COLUMNS.items():
        known = {column["name"] for column in sa.inspect(connection).get_columns(table)}
        for name in names:
            if name not in known:
                op.add_column(table, sa.Column(name, sa.Text))
    metadata.create_all(connection)
    for index in metadata.tables["delivery"].indexes:
        index.create(connection, checkfirst=True)

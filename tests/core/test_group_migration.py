"""What the revision of error groups makes of the groups of an earlier release."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from headrace.core import migrations
from headrace.kit.database import Database

OLD = (
    (
        "INSERT INTO organizations (id, name, slug, plan, is_active, max_users, max_api_keys, settings, created_at,"
        " updated_at) VALUES (1, 'o', 'o', 'free', 1, 1, 1, '{}', 1, 1)"
    ),
    (
        "INSERT INTO projects (id, organization_id, name, slug, app_name, environment, retention_days, daily_quota,"
        " queue_limit, created_at, updated_at) VALUES (2, 1, 'p', 'p', 'p', 'dev', 30, 1, 1, 1, 1)"
    ),
    (
        "INSERT INTO error_groups (id, organization_id, project_id, fingerprint, first_seen, last_seen,"
        " occurrence_count, status, sample_log_id, created_at, updated_at)"
        " VALUES (7, 1, 2, 'ab', 3, 4, 5, 'muted', 'x', 1, 1),"
        " (9, 1, 2, 'cd', 3, 4, 6, 'resolved', 'y', 1, 1)"
    ),
    "INSERT INTO error_group_hours (group_id, hour, count) VALUES (7, 0, 2), (7, 3600000000, 3), (9, 0, 6)",
)


def test_groups_of_an_earlier_release_go_on(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "old.db")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with db.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    with db.write() as connection:
        for statement in OLD:
            connection.execute(sa.text(statement))
    migrations.migrate(db)
    with db.read() as connection:
        marks = sa.text(
            "SELECT fingerprint, version, group_id, origin_id, occurrence_count, sample_log_id FROM error_fingerprints"
            " ORDER BY id"
        )
        assert [tuple(row) for row in connection.execute(marks)] == [
            ("ab", 1, 7, 7, 5, "x"),
            ("cd", 1, 9, 9, 6, "y"),
        ]
        hours = sa.text(
            "SELECT m.group_id, h.hour, h.count FROM error_hours h JOIN error_fingerprints m ON m.id = h.fingerprint_id"
            " ORDER BY 1, 2"
        )
        assert [tuple(row) for row in connection.execute(hours)] == [(7, 0, 2), (7, 3_600_000_000, 3), (9, 0, 6)]
        states = sa.text("SELECT status, user_count, merged_into FROM error_groups ORDER BY id")
        assert [tuple(row) for row in connection.execute(states)] == [("muted", 0, None), ("resolved", 0, None)]
        assert not sa.inspect(connection).has_table("error_group_hours")
    db.close()

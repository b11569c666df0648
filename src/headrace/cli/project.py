"""`headrace project`: projects made and listed."""

from argparse import Namespace

from headrace.cli import records
from headrace.cli.desk import acting, desk
from headrace.core import projects

COLUMNS = ("project_id", "slug", "name", "environment", "retention_days", "daily_quota", "queue_limit")


def run(given: Namespace) -> int:
    with desk(given) as house:
        if given.act == "list":
            records.listed(house, given, projects.list_all, COLUMNS)
            return 0
        who = acting(house, given)
        made = projects.create(
            house, who, name=given.name or given.slug, slug=given.slug, environment=given.environment
        )
        words = f"project {made.slug} has the id {made.project_id}; `headrace key create {made.slug}` makes a key"
        records.show(made, words, given)
    return 0

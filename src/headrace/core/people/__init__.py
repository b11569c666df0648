"""People of an organization: records about somebody, found by e-mail address; never accounts, never signed in."""

from headrace.core.people.records import Person
from headrace.core.people.verbs import Upserted, by_email, get, merge_meta, update, upsert

__all__ = ["Person", "Upserted", "by_email", "get", "merge_meta", "update", "upsert"]

"""The principal: who asks, in which organization, with which rights. Made by identity and keys alone."""

import msgspec

RANKS = {"read": 0, "write": 1, "admin": 2}
ROLES = ("user", "support_agent", "billing_admin", "org_admin", "super_admin")


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """One caller. Rules below the doors see only this.

    `kind`: `user` (a session), `key`, `anonymous` (only on an open instance) or `operator` (the command line).
    `scopes` is empty for a user: the role decides. `project_id` is set for keys that belong to one project.
    """

    kind: str
    organization_id: int
    account_id: int | None = None
    role: str = "user"
    session_id: str | None = None
    key_id: int | None = None
    key_kind: str | None = None  # project | organization | ingest | imported
    project_id: int | None = None
    scopes: frozenset[str] = frozenset()
    per_minute: int | None = None
    per_hour: int | None = None

    @property
    def is_admin(self) -> bool:
        return self.kind == "operator" or self.role in {"org_admin", "super_admin"}

    def allows(self, resource: str, action: str) -> bool:
        """Tell whether the scopes reach `resource:action` (read < write < admin, each with the one before, also where
        a scope names a resource; `*` stands for a whole segment).

        `ingest` is a right of its own that `write` includes. A user or the operator is not narrowed by scopes; role
        rules are asked separately.
        """
        if self.kind != "key":
            return True
        if not self.scopes.isdisjoint((f"{resource}:{action}", f"{resource}:*", action)):
            return True
        if action == "ingest":
            return self.allows(resource, "write")
        wanted, mine = RANKS.get(action), f"{resource}:"
        return wanted is not None and any(RANKS.get(scope.removeprefix(mine), -1) >= wanted for scope in self.scopes)

"""People: accounts, their sessions and tokens, organizations, memberships and invitations."""

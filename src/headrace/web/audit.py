"""The organization's audit log, for its admins: who changed what, newest first."""

import json

from headrace.core import audit, rules
from headrace.core.identity import members
from headrace.web import forms
from headrace.web.rendering import page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PAGE = 100
ROOT = "/ui/audit"


def list_all(call: Call) -> Answer:
    given = forms.query(call)
    action = given.get("action", "").strip()[: audit.LONGEST_ACTION]
    account = forms.number(given.get("account", ""), rules.LARGEST) or None
    before = forms.number(given.get("before", ""), rules.LARGEST) or None
    found = audit.list_all(call.house, call.who, action=action or None, account_id=account, limit=PAGE, before=before)
    kept = {"action": action or None, "account": str(account) if account else None}
    return page(
        call,
        "audit.html",
        events=[(one, json.dumps(one.data) if one.data else "") for one in found.events],
        names=members.names(call.house, call.who),
        action=action,
        chosen=account,
        older=forms.address(ROOT, **kept, before=str(found.before)) if found.before else "",
        newest=forms.address(ROOT, **kept) if before else "",
    )


ROUTES = (route("GET", ROOT, list_all),)

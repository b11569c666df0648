"""`headrace admin`: accounts, organizations, passwords, super admins, invoices, and the limits of projects."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from headrace.cli import records
from headrace.cli.desk import acting, desk, project_named
from headrace.cli.screen import Trouble
from headrace.core import billing, projects
from headrace.core.identity import operators, overview

if TYPE_CHECKING:
    from headrace.core.house import House

INVOICE_COLUMNS = ("external_id", "description", "status", "amount_due", "amount_paid", "currency", "created_at")


def run(given: Namespace) -> int:
    # A data folder that nobody has used yet begins with an account or an organization.
    with desk(given, make=given.act in {"account", "organization"}) as house:
        _do(house, given)
    return 0


def _do(house: "House", given: Namespace) -> None:
    match given.act:
        case "account":
            _account(house, given)
        case "organization":
            made = overview.make_organization(house, name=given.name, admin=given.admin)
            records.show(made, f"organization {made.slug} has the id {made.organization_id}", given)
        case "password":
            drawn = operators.set_password(house, email=given.email, password=_password(given))
            records.told(
                {"email": given.email, "password": drawn},
                f"{given.email} has a new password; all its sessions ended",
                given,
            )
        case "super":
            operators.set_super_admin(house, email=given.email, is_super_admin=not given.revoke)
            word = "no longer a super_admin" if given.revoke else "a super_admin"
            records.told({"email": given.email, "super_admin": not given.revoke}, f"{given.email} is {word}", given)
        case "invoices":
            records.listing(billing.list_invoices(house, acting(house, given))[0], INVOICE_COLUMNS, given)
        case "invoice-paid":
            who = acting(house, given)
            paid = billing.mark_paid(house, who, invoice=given.invoice, amount=given.amount)
            records.show(
                paid, f"invoice {paid.external_id} is paid: {paid.amount_paid:,} {paid.currency}, minor units", given
            )
        case act:
            who = acting(house, given, project=given.project)
            project_id = project_named(house, who, given.project).project_id
            name = {"quota": "daily_quota", "queue-limit": "queue_limit"}[act]
            changed = projects.set_limits(house, who, project_id=project_id, **{name: given.number})
            words = f"project {changed.slug}: {changed.daily_quota:,} logs a day, {changed.queue_limit:,} may wait"
            records.show(changed, words, given)


def _account(house: "House", given: Namespace) -> None:
    slug = given.organization
    if slug is None:
        found = overview.list_organizations(house)
        if len(found) > 1:
            raise Trouble("there are several organizations; name the account's with --organization")
        slug = found[0].slug if found else "main"
    made = operators.make_account(
        house,
        email=given.email,
        password=_password(given),
        name=given.name or given.email.partition("@")[0],
        organization=slug,
        super_admin=given.super,
    )
    facts = {
        "account_id": made.account.account_id,
        "email": made.account.email,
        "organization": made.organization.slug,
        "super_admin": made.account.is_super_admin,
        "password": made.password,
    }
    records.told(facts, f"account {made.account.email} is an org_admin of {made.organization.slug}", given)


def _password(given: Namespace) -> str | None:
    return sys.stdin.readline().rstrip("\n") if given.password_stdin else None

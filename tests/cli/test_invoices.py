"""The operator's side of local billing: invoices listed, and marked as paid, with whoever subscribes told of it."""

import io
import json
import sqlite3
from pathlib import Path

import pytest

from headrace.cli import main
from headrace.cli.arguments import parser
from headrace.cli.configuration import office
from headrace.core import billing, webhooks
from headrace.core.identity import operators


def test_an_invoice_is_paid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--data", str(tmp_path / "data")]
    monkeypatch.setattr("sys.stdin", io.StringIO("Correct-Horse-7\n"))
    assert main(["admin", "account", "me@example.com", "--password-stdin", *where]) == 0
    with office(parser().parse_args(["admin", "invoices", *where])) as house:
        who = operators.principal(house, organization="main")
        webhooks.create(house, who, url="https://hooks.example/x", events=["invoice.*"])
        begun = billing.start_payment(house, who, price_id="price_1", base="http://127.0.0.1:8000")
        invoice = billing.place(house, session_id=begun.session_id).invoice_external_id or ""
    capsys.readouterr()
    assert main(["admin", "invoices", "--json", *where]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["external_id"], listed["status"], listed["description"]) == (invoice, "open", "price_1")
    assert main(["admin", "invoice-paid", invoice, *where]) == 1
    assert "has no amount; say how much was paid" in capsys.readouterr().err
    assert main(["admin", "invoice-paid", invoice, "--amount", "1999", *where]) == 0
    assert capsys.readouterr().out == f"invoice {invoice} is paid: 1,999 usd, minor units\n"
    assert main(["admin", "invoice-paid", invoice, *where]) == 1
    assert f"{invoice} is paid already" in capsys.readouterr().err
    with sqlite3.connect(tmp_path / "data" / "headrace.db") as database:
        assert database.execute("SELECT event FROM webhook_messages").fetchall() == [("invoice.paid",)]
    database.close()

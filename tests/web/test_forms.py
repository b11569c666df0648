"""Forms and addresses: what cannot be read is refused in words."""

import pytest

from headrace.core.refusals import Refusal
from headrace.web import forms


def test_an_address_of_too_many_fields_is_refused() -> None:
    assert forms.of_address("/ui/x?a=1&b=2") == {"a": "1", "b": "2"}
    with pytest.raises(Refusal, match="could not be read"):
        forms.of_address("/ui/x?" + "&".join(f"f{number}=1" for number in range(51)))

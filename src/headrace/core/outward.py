"""The house's one client for outgoing requests (`kit/outbound.py`), made of the operator's settings."""

from headrace import __version__
from headrace.core.house import House
from headrace.core.settings import SettingError
from headrace.kit.outbound import Outbound

USER_AGENT = f"Headrace/{__version__}"


class Outward:
    """`house.part(Outward).client`; whoever closes the house calls `close`."""

    def __init__(self, house: House) -> None:
        settings = house.settings
        try:
            self.client = Outbound(
                settings.outbound_allow,
                ports=settings.outbound_ports,
                https_only=settings.outbound_https_only,
                user_agent=USER_AGENT,
            )
        except ValueError as error:
            raise SettingError(f"HEADRACE_OUTBOUND_ALLOW or HEADRACE_OUTBOUND_PORTS: {error}") from error

    def close(self) -> None:
        self.client.close()

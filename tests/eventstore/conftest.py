"""One engine for all tests of the event store: a process can open one folder only."""

from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client


@pytest.fixture(scope="session")
def search_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = clickhouse_connect.get_client(
        interface="chdb",
        path=str(tmp_path_factory.mktemp("search_engine")),
        chdb_options={"max_server_memory_usage": "800000000", "mark_cache_size": "67108864"},
        settings={"max_threads": 1},
    )
    yield client
    client.close()

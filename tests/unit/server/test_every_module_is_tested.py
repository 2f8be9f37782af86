"""A test file for every module of the server, or a reason why there is none."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

HERE = Path(__file__).parent
CODE = Path(str(resources.files("dchat_server")))
TESTS = HERE.parents[1]

ELSEWHERE = {
    "__main__": "e2e/test_embedded_server.py",
    "adapters/dynamodb_archive": "contract/test_archive.py",
    "adapters/dynamodb_cluster": "contract/test_archive.py",
    "adapters/dynamodb_client": "fault/test_dynamodb.py",
    "adapters/dynamodb_people": "contract/test_archive.py",
    "adapters/dynamodb_reads": "fault/test_dynamodb.py",
    "adapters/dynamodb_rooms": "contract/test_archive.py",
    "adapters/metered_archive": "unit/server/test_metrics.py",
    "adapters/redis_accounts": "contract/test_account_store.py",
    "adapters/redis_board": "contract/test_board.py",
    "adapters/redis_durability": "fault/test_redis.py",
    "adapters/redis_feed": "contract/test_feed.py",
    "adapters/redis_hot": "contract/test_hot_log.py",
    "adapters/redis_keys": "contract/test_room_store.py",
    "adapters/redis_limits": "contract/test_limits_contract.py",
    "adapters/redis_locator": "fault/test_failover.py",
    "adapters/redis_missing": "fault/test_lost_redis.py",
    "adapters/redis_nodes": "contract/test_sending.py",
    "adapters/redis_people": "contract/test_people.py",
    "adapters/redis_restore": "fault/test_lost_redis.py",
    "adapters/redis_room_log": "contract/test_room_log.py",
    "adapters/redis_rooms": "contract/test_room_store.py",
    "adapters/redis_slots": "contract/test_limits_contract.py",
    "adapters/redis_traced": "e2e/test_traces.py",
    "adapters/redis_wire": "contract/test_sending.py",
    "adapters/sqlite_archive": "contract/test_archive.py",
    "adapters/zookeeper": "fault/test_zookeeper.py",
    "adapters/zookeeper_client": "fault/test_zookeeper_access.py",
    "adapters/zookeeper_election": "fault/test_zookeeper.py",
    "adapters/zookeeper_members": "fault/test_zookeeper.py",
    "app": "fault/test_workers.py",
    "archived": "unit/server/test_verify.py",
    "backends": "e2e/test_readme.py",
    "compactor_reach": "unit/server/test_compactor_room.py",
    "compactor_run": "unit/server/test_compactor_room.py",
    "data_folder": "unit/server/test_embedded.py",
    "http/front": "e2e/test_front.py",
    "http/traced": "e2e/test_traces.py",
    "http/ops": "unit/test_docs.py",
    "lifeline": "unit/server/test_embedded.py",
    "listening": "unit/server/test_supervisor.py",
    "options": "unit/server/test_config.py",
    "redis_binary": "unit/server/test_embedded.py",
    "signatures": "unit/server/test_accounts.py",
    "stream": "unit/server/test_hub.py",
    "http/cluster": "unit/server/test_cluster_http.py",
    "inspection": "unit/server/test_cluster_http.py",
    "snapshot": "unit/server/test_cluster.py",
    "timeline": "contract/test_timeline.py",
    "vitals": "unit/server/test_cluster.py",
}
"""Modules whose test does not bear their name, and where it is."""

NOTHING_TO_TEST = {
    *("ports", "ports_accounts", "ports_archive", "ports_cluster", "ports_hot"),
    *("http/parts", "http/worker", "http/routes"),
}
"""Declarations: every test of what implements or uses them is theirs."""


def modules() -> set[str]:
    files = (file.relative_to(CODE).with_suffix("") for file in CODE.rglob("*.py") if file.stat().st_size)
    return {file.as_posix() for file in files if file.name != "__init__" and "openapi" not in file.parts}


def test_every_module_has_its_tests() -> None:
    untested = {
        module
        for module in modules() - NOTHING_TO_TEST - ELSEWHERE.keys()
        if not (HERE / f"test_{module.rpartition('/')[2]}.py").exists()
    }
    assert not untested


def test_the_lists_name_modules_and_tests_that_exist() -> None:
    assert ELSEWHERE.keys() | NOTHING_TO_TEST <= modules()
    assert not [test for test in ELSEWHERE.values() if not (TESTS / test).exists()]

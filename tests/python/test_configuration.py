"""What is set on vaults and accounts: notifications, tags, retrieval policy, capacity.

Sections 3.5 to 3.7, 3.15 to 3.17 and 3.30 to 3.33.
"""

import calendar
import json
from datetime import datetime

import pytest
from harness import MIB, missing, ok, refused
from operations import EVENTS, TOPIC

GIB = 1 << 30


def set_notifications(vault, **config):
    return vault.set_vault_notifications(vaultNotificationConfig=config)


def test_notifications(vault):
    """1.13, 3.5 to 3.7: set, get as it was set, replace, delete, delete again."""
    words = "No notification configuration is set for vault: "
    assert missing(vault.get_vault_notifications).startswith(words)
    ok(vault.delete_vault_notifications(), 204)
    ok(set_notifications(vault, SNSTopic=TOPIC, Events=EVENTS[::-1]), 204)
    answer = vault.raw("GET", "/notification-configuration")
    assert (answer.status, answer.json()) == (200, {"SNSTopic": TOPIC, "Events": EVENTS[::-1]})
    other = TOPIC + "-2"
    ok(set_notifications(vault, SNSTopic=other, Events=EVENTS[:1]), 204)
    config = vault.get_vault_notifications()["vaultNotificationConfig"]
    assert config == {"SNSTopic": other, "Events": EVENTS[:1]}
    for _ in range(2):
        ok(vault.delete_vault_notifications(), 204)
    assert missing(vault.get_vault_notifications).startswith(words)


@pytest.mark.parametrize(
    "body",
    [
        {"SNSTopic": TOPIC, "Events": []},
        {"SNSTopic": TOPIC, "Events": ["ArchiveUploaded"]},
        {"SNSTopic": TOPIC, "Events": ["archiveretrievalcompleted"]},
        {"SNSTopic": TOPIC, "Events": EVENTS + ["Other"]},
        {"SNSTopic": TOPIC},
        {"Events": EVENTS},
        {"SNSTopic": None, "Events": EVENTS},
        {"Topic": TOPIC, "Events": EVENTS},
        {"vaultNotificationConfig": {"SNSTopic": TOPIC, "Events": EVENTS}},
        {},
    ],
    ids=json.dumps,
)
def test_bad_notifications(vault, body):
    """3.5: both members, one or two of the two events; nothing else is stored."""
    code, status, _ = vault.raw("PUT", "/notification-configuration", body).error()
    assert status == 400 and code in ("InvalidParameterValueException", "MissingParameterValueException")
    missing(vault.get_vault_notifications)


def add(vault, tags):
    return vault.add_tags_to_vault(Tags=tags)


def tags(vault):
    return vault.list_tags_for_vault()["Tags"]


def test_tags(vault):
    """1.13, 3.15 to 3.17: add, overwrite, list, remove what is there and what isn't."""
    assert vault.raw("GET", "/tags").body == b'{"Tags":{}}'
    ok(add(vault, {"a": "1", "A": "2", "empty": ""}), 204)
    ok(add(vault, {"a": "3"}), 204)
    assert tags(vault) == {"a": "3", "A": "2", "empty": ""}
    for _ in range(2):
        ok(vault.remove_tags_from_vault(TagKeys=["a", "never"]), 204)
    assert tags(vault) == {"A": "2", "empty": ""}
    answer = vault.raw("POST", "/tags?operation=remove", {"TagKeys": ["A", "empty"]})
    assert (answer.status, answer.body) == (204, b"") and tags(vault) == {}


@pytest.mark.parametrize(
    "key,value",
    [
        ("k" * 128, "v" * 255),
        ("größe", "Ünïcödé 漢字"),
        ("with space", "a_b.c/d=e+f-g@h"),
        ("0", "0"),
        ("ключ" * 32, "é" * 255),
        ("AWSome", "Value"),
    ],
    ids=lambda text: text[:10],
)
def test_legal_tags(vault, key, value):
    """3.15: up to 128 and 255 characters: letters, digits, space and _ . / = + - @."""
    ok(add(vault, {key: value}), 204)
    assert tags(vault) == {key: value}


@pytest.mark.parametrize(
    "body",
    [
        {"Tags": {}},
        {"Tags": {"": "v"}},
        {"Tags": {"k" * 129: "v"}},
        {"Tags": {"k": "v" * 256}},
        {"Tags": {"aws:k": "v"}},
        {"Tags": {"a*b": "v"}},
        {"Tags": {"k": "<v>"}},
        {"Tags": {f"k{i}": "v" for i in range(11)}},
        {"Tags": None},
        {},
    ],
    ids=lambda body: json.dumps(body)[:30],
)
def test_bad_tags(vault, body):
    """3.15: 1 to 10 in a request, no reserved prefix; nothing of a bad request is applied."""
    code, status, _ = vault.raw("POST", "/tags?operation=add", body).error()
    assert status == 400 and code in (
        "InvalidParameterValueException",
        "MissingParameterValueException",
        "LimitExceededException",
    )
    assert tags(vault) == {}


def test_the_limit_of_tags(vault):
    """1.9, 1.11, 3.15: 50 on a vault, all of a request or none; overwriting is no new one."""
    for i in range(5):
        add(vault, {f"k{i}-{j}": "v" for j in range(10)})
    assert len(tags(vault)) == 50
    message = refused("LimitExceededException", 400, add, vault, {"k0-0": "changed", "one more": "v"})
    assert message == "The quota for the number of tags that can be assigned to this resource has been reached."
    assert tags(vault)["k0-0"] == "v"
    add(vault, {"k0-0": "changed"})
    assert tags(vault)["k0-0"] == "changed"


@pytest.mark.parametrize(
    "body",
    [{"TagKeys": []}, {"TagKeys": [f"k{i}" for i in range(11)]}, {"TagsKeys": ["k"]}, {}],
    ids=lambda b: str(b)[:30],
)
def test_bad_removals(vault, body):
    """3.17: 1 to 10 keys, in TagKeys."""
    add(vault, {"k": "v"})
    code, status, _ = vault.raw("POST", "/tags?operation=remove", body).error()
    assert status == 400 and code in ("InvalidParameterValueException", "MissingParameterValueException")
    assert tags(vault) == {"k": "v"}


def set_policy(client, **rule):
    return client.set_data_retrieval_policy(Policy={"Rules": [rule]})


def test_the_retrieval_policy(serve):
    """3.30, 3.31: None until one is set; exactly one rule; BytesPerHour only where it belongs."""
    endpoint = serve()
    get = lambda: endpoint.raw("GET", "/-/policies/data-retrieval").json()["Policy"]["Rules"]
    [rule] = get()
    assert rule["Strategy"] == "None" and rule.get("BytesPerHour") is None
    client = endpoint.glacier
    ok(set_policy(client, Strategy="BytesPerHour", BytesPerHour=(1 << 63) - 1), 204)
    assert get() == [{"BytesPerHour": (1 << 63) - 1, "Strategy": "BytesPerHour"}]
    ok(set_policy(client, Strategy="FreeTier"), 204)
    [rule] = get()
    assert rule["Strategy"] == "FreeTier" and rule.get("BytesPerHour") is None
    for rules in (
        [],
        [{"Strategy": "None"}, {"Strategy": "FreeTier"}],
        [{"Strategy": "Unlimited"}],
        [{"Strategy": None}],
        [{"Strategy": "BytesPerHour"}],
        [{"Strategy": "BytesPerHour", "BytesPerHour": 0}],
        [{"Strategy": "BytesPerHour", "BytesPerHour": -1}],
        [{"Strategy": "FreeTier", "BytesPerHour": 1}],
        [{"Strategy": "None", "BytesPerHour": 1}],
        [{"BytesPerHour": 1}],
    ):
        code, status, _ = endpoint.raw("PUT", "/-/policies/data-retrieval", {"Policy": {"Rules": rules}}).error()
        assert status == 400, rules
        assert code in ("InvalidParameterValueException", "MissingParameterValueException"), rules
    for body in ({}, {"Policy": None}, {"Policy": {}}, {"Rules": [{"Strategy": "None"}]}):
        assert endpoint.raw("PUT", "/-/policies/data-retrieval", body).error()[1] == 400, body
    assert get()[0]["Strategy"] == "FreeTier"
    ok(set_policy(client, Strategy="None"), 204)


def test_bytes_per_hour(serve):
    """3.26, 5.4: Standard retrievals above the rate are refused at once and leave no trace; others aren't limited."""
    endpoint = serve("--admin", "--clock", "virtual")
    vault = endpoint.vault()
    archive = vault.upload(bytes(4 * MIB))
    set_policy(endpoint.glacier, Strategy="BytesPerHour", BytesPerHour=MIB)
    first = vault.retrieve(archive)
    message = refused("PolicyEnforcedException", 400, vault.retrieve, archive)
    assert message == "InitiateJob request denied by current data retrieval policy."
    assert [job["JobId"] for job in vault.list_jobs()["JobList"]] == [first]
    for tier in ("Expedited", "Bulk"):
        vault.retrieve(archive, Tier=tier)
    endpoint.advance("25h")
    vault.start(Type="inventory-retrieval")
    vault.retrieve(archive)
    refused("PolicyEnforcedException", 400, vault.retrieve, archive)
    set_policy(endpoint.glacier, Strategy="None")
    vault.retrieve(archive)


def test_the_free_tier(serve):
    """5.4: what a day allows is less than a gigabyte, and the next day allows as much again."""
    endpoint = serve("--admin", "--clock", "virtual")
    vault = endpoint.vault()
    set_policy(endpoint.glacier, Strategy="FreeTier")
    small = vault.upload(bytes(MIB))
    vault.retrieve(small)
    accepted = 0
    archive = vault.upload(bytes(64 * MIB))
    # The allowance of a month is 10 GiB; that of a day less than a gigabyte.
    while accepted < 32:
        try:
            vault.retrieve(archive)
            accepted += 1
        except vault.client.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "PolicyEnforcedException"
            break
    assert accepted * 64 * MIB < GIB
    endpoint.advance("25h")
    vault.retrieve(small)


def test_capacity(serve):
    """3.32, 3.33: none, one, two, and no third until one has expired, a month later to the second."""
    endpoint = serve("--admin", "--clock", "virtual")
    client = endpoint.glacier
    assert endpoint.raw("GET", "/-/provisioned-capacity").body == b'{"ProvisionedCapacityList":[]}'
    bought = []
    for _ in range(2):
        answer = endpoint.raw("POST", "/-/provisioned-capacity")
        assert (answer.status, answer.body) == (201, b"")
        bought.append(answer.headers["x-amz-capacity-id"])
    assert len({*bought}) == 2 and all(len(capacity) == 24 for capacity in bought)
    refused("LimitExceededException", 400, client.purchase_provisioned_capacity)
    units = endpoint.raw("GET", "/-/provisioned-capacity").json()["ProvisionedCapacityList"]
    assert sorted(unit["CapacityId"] for unit in units) == sorted(bought)
    for unit in units:
        assert set(unit) == {"CapacityId", "StartDate", "ExpirationDate"} and unit["ExpirationDate"].endswith(".000Z")
        start = datetime.fromisoformat(unit["StartDate"])
        year, month = start.year + start.month // 12, start.month % 12 + 1
        end = start.replace(
            year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]), microsecond=0
        )
        assert datetime.fromisoformat(unit["ExpirationDate"]) == end
    endpoint.advance("27days")
    assert len(client.list_provisioned_capacity()["ProvisionedCapacityList"]) == 2
    endpoint.advance("5days")
    assert client.list_provisioned_capacity()["ProvisionedCapacityList"] == []
    ok(client.purchase_provisioned_capacity(), 201)


@pytest.mark.parametrize(
    "bought,expires",
    [
        ("2026-01-31T10:11:12.999Z", "2026-02-28T10:11:12.000Z"),
        ("2028-01-31T10:11:12Z", "2028-02-29T10:11:12.000Z"),
        ("2026-08-31T23:59:59Z", "2026-09-30T23:59:59.000Z"),
        ("2026-12-15T00:00:00Z", "2027-01-15T00:00:00.000Z"),
    ],
)
def test_months_of_capacity(serve, bought, expires):
    """1.6, 3.33: the same day and time next month, or its last day, with the fraction cut."""
    endpoint = serve("--admin", "--clock", f"virtual@{bought}")
    endpoint.glacier.purchase_provisioned_capacity()
    [unit] = endpoint.glacier.list_provisioned_capacity()["ProvisionedCapacityList"]
    assert (unit["StartDate"][:19], unit["ExpirationDate"]) == (bought[:19], expires)


def test_expedited_capacity(serve):
    """1.11, 3.26, 3.33: without capacity 503 InsufficientCapacity; each unit adds at least 3 in 5 minutes."""
    endpoint = serve("--admin", "--clock", "virtual", "--expedited-limit", "1")
    vault = endpoint.vault()
    archive = vault.upload()
    expedited = lambda: vault.retrieve(archive, Tier="Expedited")
    expedited()
    refused("InsufficientCapacityException", 503, expedited)
    assert len(vault.list_jobs()["JobList"]) == 1
    vault.retrieve(archive, Tier="Standard")
    endpoint.glacier.purchase_provisioned_capacity()
    for _ in range(3):
        expedited()
    refused("InsufficientCapacityException", 503, expedited)
    endpoint.advance("6m")
    for _ in range(4):
        expedited()

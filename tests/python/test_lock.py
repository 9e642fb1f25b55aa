"""Vault lock: its states (3.11 to 3.14) and its enforcement (5.5)."""

import json
import re

import pytest
from harness import DATE, denied, invalid, missing, ok
from operations import POLICY


def retention(vault, days=365, **more):
    condition = {"NumericLessThan": {"glacier:ArchiveAgeInDays": str(days)}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteArchive", "Resource": vault.arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [deny | {"Condition": condition} | more]})


def initiate(vault, text=POLICY):
    return vault.initiate_vault_lock(policy={"Policy": text})["lockId"]


def complete(vault, lock):
    return vault.complete_vault_lock(lockId=lock)


def abort(vault):
    return vault.abort_vault_lock()


def test_initiating(vault):
    """1.7, 3.11, 3.12: 201 with the lock's ID; InProgress, with a date 24 hours on; the policy as it was set."""
    text = retention(vault).replace(", ", " ,\n")
    answer = vault.raw("POST", "/lock-policy", {"Policy": text})
    assert (answer.status, answer.body) == (201, b"") and len(answer.headers["x-amz-lock-id"]) == 24
    lock = vault.raw("GET", "/lock-policy").json()
    assert set(lock) == {"CreationDate", "ExpirationDate", "Policy", "State"}
    assert (lock["Policy"], lock["State"]) == (text, "InProgress")
    assert re.fullmatch(DATE, lock["CreationDate"]) and re.fullmatch(DATE, lock["ExpirationDate"])
    assert lock["CreationDate"][:10] < lock["ExpirationDate"][:10]
    assert lock["CreationDate"][11:] == lock["ExpirationDate"][11:]


def test_none(vault):
    """5.5, row "none"."""
    missing(vault.get_vault_lock)
    ok(abort(vault), 204)
    missing(complete, vault, "x" * 24)
    initiate(vault)


def test_in_progress(vault):
    """5.5, row "InProgress": no second lock, another ID is 400, the right one locks, abort removes."""
    lock = initiate(vault)
    denied(initiate, vault)
    invalid(complete, vault, "x" * 24)
    assert vault.get_vault_lock()["State"] == "InProgress"
    ok(abort(vault), 204)
    missing(vault.get_vault_lock)
    missing(complete, vault, lock)
    ok(complete(vault, initiate(vault)), 204)


def test_locked(vault):
    """5.5, row "Locked": for good; only completing it with its ID is repeated."""
    lock = initiate(vault)
    for _ in range(2):
        answer = vault.raw("POST", f"/lock-policy/{lock}")
        assert (answer.status, answer.body) == (204, b"")
    denied(initiate, vault)
    denied(abort, vault)
    denied(complete, vault, "x" * 24)
    found = vault.raw("GET", "/lock-policy").json()
    assert (found["State"], found.get("ExpirationDate"), found["Policy"]) == ("Locked", None, POLICY)


def test_expiry(clocked, slow_vault):
    """3.11, 5.5, row "24 h over": as if there had never been one."""
    slow_vault_2 = clocked.vault()
    lock, locked = initiate(slow_vault), initiate(slow_vault_2)
    complete(slow_vault_2, locked)
    clocked.advance("23h")
    assert slow_vault.get_vault_lock()["State"] == "InProgress"
    clocked.advance("61m")
    missing(slow_vault.get_vault_lock)
    missing(complete, slow_vault, lock)
    ok(abort(slow_vault), 204)
    assert slow_vault_2.get_vault_lock()["State"] == "Locked"
    initiate(slow_vault)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{}",
        '{"Version":"2012-10-17","Statement":[]}',
        POLICY.replace("Allow", "Forbid"),
        POLICY.replace("glacier:DescribeVault", "s3:*"),
        POLICY[:-3] + ',"Condition":{"Sometimes":{"x":"y"}}}]}',
        POLICY[:-1] + " " * 20_480 + "}",
    ],
    ids=lambda text: text[:80],
)
def test_bad_policies(vault, text):
    """1.9, 1.11, 3.11: refused with the service's words, and no lock is begun."""
    assert invalid(initiate, vault, text).startswith(
        "The specified vault lock policy is invalid. Provide a valid policy."
    )
    missing(vault.get_vault_lock)


def test_no_policy(vault):
    """3.11: the member is required."""
    for body in ({}, {"Policy": None}, {"Policy": ""}):
        assert vault.raw("POST", "/lock-policy", body).error()[1] == 400


def test_no_delete_before_its_time(clocked, slow_vault):
    """5.5: "no delete before 365 days" holds from InProgress on, and lifts on the service's clock, for each archive."""
    vault = slow_vault
    old = vault.upload()
    clocked.advance("100days")
    initiate(vault, retention(vault))
    denied(vault.delete_archive, archiveId=old)
    abort(vault)
    lock = initiate(vault, retention(vault))
    complete(vault, lock)
    young = vault.upload()
    message = denied(vault.delete_archive, archiveId=young)
    assert "glacier:DeleteArchive" in message and vault.arn in message
    clocked.advance("264days")
    denied(vault.delete_archive, archiveId=old)
    clocked.advance("2days")
    ok(vault.delete_archive(archiveId=old), 204)
    denied(vault.delete_archive, archiveId=young)
    clocked.advance("100days")
    ok(vault.delete_archive(archiveId=young), 204)


def test_an_aborted_lock_forbids_nothing(vault):
    """3.13."""
    archive = vault.upload()
    initiate(vault, retention(vault))
    denied(vault.delete_archive, archiveId=archive)
    abort(vault)
    ok(vault.delete_archive(archiveId=archive), 204)


def test_key_names_in_any_case(vault):
    """5.5: the guide itself writes two."""
    archive = vault.upload()
    initiate(vault, retention(vault).replace("ArchiveAgeInDays", "archiveageindays"))
    denied(vault.delete_archive, archiveId=archive)


def test_a_legal_hold(vault):
    """5.5: a tag denies deletion for as long as it is set."""
    archive = vault.upload()
    hold = {"StringLike": {"glacier:ResourceTag/LegalHold": ["true", ""]}}
    initiate(vault, retention(vault, Condition=hold))
    vault.add_tags_to_vault(Tags={"LegalHold": "true"})
    denied(vault.delete_archive, archiveId=archive)
    vault.remove_tags_from_vault(TagKeys=["LegalHold"])
    ok(vault.delete_archive(archiveId=archive), 204)


def test_a_lock_that_denies_deleting_the_vault(vault):
    """3.2, 5.5: keeps it; another locked vault can be deleted when it is empty."""
    complete(vault, initiate(vault, retention(vault, Action="glacier:DeleteVault", Condition={})))
    denied(vault.delete_vault)
    other = vault.endpoint.vault()
    complete(other, initiate(other, retention(other)))
    ok(other.delete_vault(), 204)


def test_retrievals_by_age(clocked, slow_vault):
    """5.5: the condition holds for InitiateJob of archives as well."""
    archive = slow_vault.upload()
    lock = initiate(slow_vault, retention(slow_vault, 1, Action="glacier:InitiateJob"))
    complete(slow_vault, lock)
    denied(slow_vault.retrieve, archive)
    clocked.advance("23h")
    denied(slow_vault.retrieve, archive)
    clocked.advance("2h")
    slow_vault.retrieve(archive)

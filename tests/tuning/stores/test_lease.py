from __future__ import annotations

import json

import pytest

from trainers.errors import UserError
from tuning.stores import lease
from tuning.stores.lease import Lease
from tuning.stores.store import Away, Conflict


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "EXPIRES", 0.1)


def of_another_machine(s3_store, prefix="street/", **fields) -> Lease:
    taken = Lease(s3_store, prefix)
    taken.acquire()
    taken._fields |= {"machine": "another", "host": "head-1", "pid": 4711, **fields}
    taken.renew()
    return taken


def test_each_holder_has_a_larger_token(s3_store):
    first = Lease(s3_store, "street/")
    assert first.acquire() == 1
    first.release()
    assert Lease(s3_store, "street/").acquire() == 2


def test_a_lease_that_is_renewed_is_refused_with_its_holder(s3_store, monkeypatch):
    held = of_another_machine(s3_store)
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: held.renew())
    with pytest.raises(UserError) as error:
        Lease(s3_store, "street/").acquire()
    assert str(error.value).startswith(f"{s3_store.uri}: in use by process 4711 on head-1 since 20")
    assert str(error.value).endswith("; wait, or stop it first")


def test_a_lease_that_nobody_renews_is_taken_whatever_the_clocks_say_and_its_holder_can_write_no_more(
    s3_store,
):
    held, said = of_another_machine(s3_store, since="2035-01-01 00:00:00"), []
    assert Lease(s3_store, "street/").acquire(said.append) == 2
    assert said == [
        f"{s3_store.uri}: process 4711 on head-1 since 2035-01-01 00:00:00 had this study; waiting whether it still does"
    ]
    with pytest.raises(Conflict):
        held.renew()


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(s3_store, monkeypatch):
    first = Lease(s3_store, "street/")
    first.acquire()
    first._fields["pid"] = 2**22 + 1  # larger than any
    first.renew()
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: pytest.fail("waited"))
    assert Lease(s3_store, "street/").acquire() == 2


def test_a_write_whose_answer_was_lost_counts(s3_store):
    held = Lease(s3_store, "street/")
    held.acquire()
    held._fields["beat"] = 1
    s3_store.write("street/lease.json", json.dumps(held._fields).encode())
    held._write()
    held.renew()
    assert lease.read(s3_store, "street/")[0]["beat"] == 2


def losing_answers(s3_store, monkeypatch, times: int = 1):
    """Let writes take effect, and so many of their answers be lost."""
    real, lost = type(s3_store).write, []

    def write(store, *arguments):
        tag = real(store, *arguments)
        if len(lost) < times:
            lost.append(tag)
            raise Away("S3 does not answer")
        return tag

    monkeypatch.setattr(type(s3_store), "write", write)


@pytest.mark.parametrize("then", ["renew", "release"])
def test_a_lease_whose_renewal_was_not_answered_is_still_its_holders(s3_store, monkeypatch, then):
    held = Lease(s3_store, "street/")
    held.acquire()
    losing_answers(s3_store, monkeypatch)
    with pytest.raises(Away):
        held.renew()
    getattr(held, then)()
    assert lease.read(s3_store, "street/")[0]["held"] is (then == "renew")
    held.renew()


def test_a_lease_that_was_taken_without_an_answer_to_the_first_request_is_held(s3_store, monkeypatch):
    real = type(s3_store).write

    def write(store, *arguments):  # as botocore does by itself
        real(store, *arguments)
        return real(store, *arguments)

    monkeypatch.setattr(type(s3_store), "write", write)
    assert Lease(s3_store, "street/").acquire() == 1

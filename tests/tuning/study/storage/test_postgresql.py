"""Trials in a real PostgreSQL: one driver at a time, nothing lost or twice when the server restarts."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import optuna
import postgresql_server
import pytest
import sqlalchemy
from searches import about, run_here, search_of
from sqlalchemy.exc import OperationalError

from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.study import reading
from tuning.study.storage import patience, postgresql
from tuning.study.storage.database_lock import LockLost
from tuning.study.study import Study

pytestmark = pytest.mark.slow(30)
server = pytest.fixture(scope="module")(postgresql_server.made)


@pytest.fixture
def address(server, monkeypatch) -> str:
    monkeypatch.setenv("PGPASSWORD", postgresql_server.PASSWORD)
    monkeypatch.setattr(patience, "FIRST_RETRY", 0.05)
    return server.address


@pytest.fixture
def opened(address, tmp_path, request):
    """Opens the test's study, in a folder of this name."""
    studies: list[Study] = []

    def open_it(folder: str = "one", **changes) -> Study:
        name = request.node.name[:40]
        fields = {"study": name, "storage": address} | changes
        studies.append(Study.open(tmp_path / folder / name, about(**fields), durable=False))
        return studies[-1]

    yield open_it
    for study in studies:
        study.close()


def outcome(records) -> list[tuple]:
    return [(r.number, r.state, r.recipe_id, [(g.step, g.value) for g in r.rungs]) for r in records]


def test_a_search_is_the_same_as_with_a_journal_and_other_tools_read_it(opened, address, open_study):
    study = opened()
    run_here(search_of(study, 4))
    beside = open_study()
    run_here(search_of(beside, 4))
    assert outcome(study.records()) == outcome(beside.records())
    study.close()
    assert outcome(reading.read(study.name, study.folder.parent).records) == outcome(beside.records())
    url = postgresql.engine(address).url.render_as_string(hide_password=False)
    assert len(optuna.load_study(study_name=study.name, storage=url).trials) == 4


def test_a_search_goes_on_where_its_folder_never_was(opened, tmp_path):
    first = opened()
    search = search_of(first, 3)
    run_here(search, steps=4)
    search.interrupt()
    before = outcome(first.records())
    first.close()
    shutil.rmtree(tmp_path / "one")
    second = opened("two")
    assert outcome(second.records()) == before
    assert second.manifest.id == first.manifest.id
    run_here(search_of(second, 3))
    assert all(record.verdict.final for record in second.records())


def test_a_second_driver_is_refused_with_the_holders_name(opened):
    opened("one")
    with pytest.raises(UserError, match=r"is in use by process \d+ on .* since 20.*; wait, or stop it first"):
        opened("two")


def test_another_study_of_the_same_name_in_the_same_database_is_refused(opened, address):
    opened("one").close()
    other = opened("two", storage="")
    other.close()
    path = other.folder / "study.json"
    path.write_text(path.read_text().replace('"storage": ""', f'"storage": "{address}"'))
    with pytest.raises(UserError, match=r"has another study called .* give another --study"):
        opened("two")


def test_a_study_keeps_its_storage(opened):
    opened("two", storage="").close()
    with pytest.raises(UserError, match="was begun with no --storage, now it is postgresql"):
        opened("two")


def test_the_server_looks_whether_a_drivers_machine_is_still_there(opened):
    """Otherwise a machine whose power is cut would have its study locked for hours."""
    trials = opened()._trials
    for connections in (trials._lock._engine, trials.storage._backend._backend.engine):
        with connections.connect() as connection:
            for setting, value in (("tcp_keepalives_idle", "5"), ("tcp_user_timeout", "20000")):
                assert connection.execute(sqlalchemy.text(f"SHOW {setting}")).scalar() == value
                connection.rollback()


def test_a_driver_whose_lock_another_one_took_writes_no_more(opened):
    first = opened("one")
    first.set_attribute("early", 1)
    first._trials._lock.release()  # as after a cut of the network that this process has not noticed
    second = opened("two")
    with pytest.raises(LockLost, match="another driver has taken over the study"):
        first.set_attribute("late", 1)
    assert second.attribute("late") is None
    assert second.attribute("early") == 1


def test_while_the_server_restarts_the_search_waits_and_nothing_is_lost_or_twice(
    opened, server, open_study, capsys, caplog
):
    study = opened()
    server.stop()

    def later() -> None:
        time.sleep(1.0)
        server.start()

    back = threading.Thread(target=later)
    back.start()
    run_here(search_of(study, 4))
    back.join()
    beside = open_study()
    run_here(search_of(beside, 4))
    assert outcome(study.records()) == outcome(beside.records())
    assert "training goes on, and this waits" in capsys.readouterr().err
    assert not [record for record in caplog.records if record.name.startswith("sqlalchemy.pool")]
    with pytest.raises(UserError, match="in use by"):
        opened("two")


def test_a_trial_that_was_made_while_its_answer_was_lost_is_not_made_again(opened, monkeypatch):
    study = opened()
    backend = study._storage._backend._backend
    real, broken = backend._create_new_trial, []

    def create(*arguments):
        made = real(*arguments)
        if not broken:
            broken.append(made)
            raise OperationalError("INSERT", {}, ConnectionError("broken"))
        return made

    monkeypatch.setattr(backend, "_create_new_trial", create)
    run_here(search_of(study, 2))
    assert len(study.records()) == 2
    assert len(broken) == 1


def test_a_trial_that_was_ended_while_its_answer_was_lost_has_ended(opened, monkeypatch):
    study = opened()
    backend = study._storage._backend._backend
    real, broken = backend.set_trial_state_values, []

    def end(*arguments, **named):
        done = real(*arguments, **named)
        if not broken:
            broken.append(done)
            raise OperationalError("UPDATE", {}, ConnectionError("broken"))
        return done

    monkeypatch.setattr(backend, "set_trial_state_values", end)
    run_here(search_of(study, 2))
    assert [record.state for record in study.records()].count("running") == 0
    assert len(broken) == 1


@pytest.mark.parametrize(
    ("changed", "password", "says"),
    [
        (("tests@", "tests@"), "wrong", 'password authentication failed for user "tests"; set PGPASSWORD'),
        (("/postgres", "/nosuch"), None, 'database "nosuch" does not exist; create it first: createdb'),
        (("127.0.0.1:", "127.0.0.1:1"), None, "PostgreSQL does not answer"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_database_is_one_line_and_leaves_no_study(
    opened, address, monkeypatch, changed, password, says, tmp_path
):
    if password:
        monkeypatch.setenv("PGPASSWORD", password)
    storage = (
        address.replace(*changed) if "1:1" not in changed[1] else "postgresql://tests@127.0.0.1:1/postgres"
    )
    with pytest.raises(UserError) as error:
        opened("three", storage=storage)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("study.json"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("postgresql://me:secret@host/db", "--storage postgresql://me:***@host/db: a password there is seen"),
        ("sqlite:///x.db", "--storage sqlite:///x.db: give postgresql://user@host/database, or leave it out"),
        ("nonsense", "--storage nonsense: give postgresql://user@host/database, or leave it out"),
        ("postgresql://me@host", "--storage postgresql://me@host: names no database"),
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_holds_a_password_is_refused(given, says):
    with pytest.raises(UserError) as error:
        Settings("mobilenet", storage=given)
    assert str(error.value).startswith(says)
    assert "secret" not in str(error.value)


def test_the_password_is_that_of_the_file_of_passwords(tmp_path):
    file: Path = tmp_path / "pgpass"
    file.write_text("# mine\nother:*:*:*:no\nhost:5432:db:me:with\\:colon\n*:*:*:*:last\n")
    found = [
        postgresql.password_of(postgresql.make_url(f"postgresql://{url}"), file)
        for url in ("me@host/db", "me@host:5433/db", "me@other/db")
    ]
    assert found == ["with:colon", "last", "no"]
    assert postgresql.password_of(postgresql.make_url("postgresql://me@host/db"), tmp_path / "none") is None

"""What does a storage say that cannot be opened, and is it safe once it is open?"""

import multiprocessing
import sqlite3
import stat

import optuna
import pytest
import sqlalchemy as sa

from studies.database import SCHEMA, Database, _file_system
from studies.errors import InputError, StorageError
from studies.ledger import Store


@pytest.mark.parametrize(
    "url, words",
    [
        ("", "--storage: expected sqlite:///FOLDER/FILE.db or postgresql://USER:PASSWORD@HOST/NAME .*, got ''"),
        ("studies.db", "got 'studies.db'"),
        ("postgresql://me:secret@host:port/x", r"got 'postgresql://\*\*\*@host:port/x'"),
        ("redis://localhost", "got the scheme 'redis'"),
        ("oracle://localhost/x", "got the scheme 'oracle'"),
        ("sqlite://", "got a database in memory, which would be lost"),
        ("sqlite:///:memory:", "got a database in memory"),
        ("sqlite:////nowhere/at/all/studies.db", "--storage: the folder /nowhere/at/all of studies.db does not exist"),
        ("mysql+oursql://me:secret@localhost/x", r"--storage: .* needs a driver that is not installed"),
        ("postgresql+psycopg9://me:secret@localhost/x", "needs a driver that is not installed"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_in_one_line(url, words):
    with pytest.raises(InputError, match=words) as refusal:
        Store(url)
    assert "\n" not in str(refusal.value) and "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url, told",
    [
        ("postgresql://me:secret@127.0.0.1:9/x", r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:9/x: .*refused"),
        ("postgresql://127.0.0.1:9/x?user=me&password=secret", r"postgresql\+psycopg://127.0.0.1:9/x\?user=me: .*refused"),
    ],
)
def test_a_server_that_refuses_is_named_without_its_password(url, told):
    with pytest.raises(StorageError, match=told) as refusal:
        Store(url)
    assert "\n" not in str(refusal.value) and "secret" not in str(refusal.value)


def test_a_database_that_the_server_does_not_have(postgresql):
    with pytest.raises(StorageError, match='database "nowhere" does not exist'):
        Store(postgresql.database().rsplit("/", 1)[0] + "/nowhere")


def test_a_file_that_is_something_else(tmp_path):
    (tmp_path / "studies.db").write_text("lr,accuracy\n" * 1000)
    with pytest.raises(InputError, match=r"studies.db: expected an SQLite database, got another kind of file"):
        Store(f"sqlite:///{tmp_path}/studies.db")
    with pytest.raises(InputError, match="expected an SQLite database, got a folder"):
        Store(f"sqlite:///{tmp_path}")


def test_a_full_disk_is_told_in_one_line_and_leaves_what_was_there(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/studies.db")
    with database.write() as connection:
        connection.exec_driver_sql("create table ballast (content blob)")
    with pytest.raises(StorageError, match="studies.db: database or disk is full"), database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("insert into ballast values (zeroblob(1000000))")
    with database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from ballast").scalar() == 0


def test_a_newer_schema_says_which_version_to_use(tmp_path):
    database = Database(url := f"sqlite:///{tmp_path}/studies.db")
    with database.write() as connection:
        connection.execute(sa.text("update tuner_schema set version = :version, software = '9.1'"), {"version": SCHEMA + 1})
    words = (
        f"was written by a newer version: use staged-tuner 9.1 or later .its schema is {SCHEMA + 1}, this version knows {SCHEMA}."
    )
    with pytest.raises(InputError, match=words):
        Store(url)


def test_tables_of_a_newer_optuna_are_not_written_to(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/studies.db")
    with store._database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = 'v99.0.0'")
    with pytest.raises(StorageError, match="[Oo]ptuna"), store.drive("flowers", {}):
        pass


def test_sqlite_is_opened_for_safety(tmp_path):
    with Database(f"sqlite:///{tmp_path}/studies.db").read() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "delete", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_a_relative_path_means_the_same_file_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Store("sqlite:///studies.db").url == f"sqlite:///{tmp_path}/studies.db"


def test_the_url_that_a_store_gives_opens_in_optuna(storage_url):
    assert optuna.get_all_study_names(Store(storage_url).url) == []


def test_a_database_that_can_only_be_read_is_read(tmp_path):
    with Store(f"sqlite:///{tmp_path}/studies.db").drive("flowers", {}):
        pass
    copy = sqlite3.connect(f"file:{tmp_path}/studies.db?mode=ro", uri=True)
    assert copy.execute("select name from tuner_studies").fetchall() == [("flowers",)]
    (tmp_path / "studies.db").chmod(stat.S_IREAD)
    assert [record.name for record in Store(f"sqlite:///{tmp_path}/studies.db").studies()] == ["flowers"]


def test_several_processes_may_open_a_new_storage_at_once(tmp_path, request):
    urls = [f"sqlite:///{tmp_path}/studies.db", request.getfixturevalue("postgresql").database()]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        for url in urls:
            assert pool.map(_open_and_count, [url] * 4, chunksize=1) == [0] * 4


def _open_and_count(url):
    return len(Store(url).studies())


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(tmp_path):
    assert _file_system(tmp_path) not in ("", "proc")

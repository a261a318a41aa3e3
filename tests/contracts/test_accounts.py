"""What accounts promise, shown on SQLite and on a real Postgres."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from facecraft.accounts.accounts import Accounts
from facecraft.accounts.callers import MEMORY_SECONDS
from facecraft.accounts.config import AccountConfig
from facecraft.accounts.mail import Mail
from facecraft.accounts.passwords import Passwords
from facecraft.accounts.records import Grant, Profile, Role, Scope, User, now
from facecraft.db.database import Database
from facecraft.db.tables import API_KEYS, GALLERIES, METADATA, PASSWORD_RESETS, REFRESH_TOKENS, SESSIONS, USERS
from facecraft.errors import (
    AccountDisabledError,
    ApiKeyNotFoundError,
    EmailTakenError,
    FacecraftError,
    InvalidCredentialsError,
    InvalidOptionError,
    JobStateError,
    ResetTokenError,
    SessionNotFoundError,
    SignupDisabledError,
    StorageError,
    TokenInvalidError,
    UserNotFoundError,
)
from facecraft.galleries.galleries import Galleries
from facecraft.jobs.job import Item, JobState, NewJob
from facecraft.jobs.leases import Leases
from facecraft.jobs.repository import JobRepository
from facecraft.jobs.tasks import GPU, PipelineTask
from facecraft.pipelines.presets import CutoutPresetOptions

SECRET = "5f2c8e1b9a7d4063b1e8c2f7a9d05e34"
NOBODY = "01900000-0000-7000-8000-000000000000"
EMAIL, PASSWORD = "ann@example.org", "correct horse"


class Post:
    """A mailer that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    def send(self, mail: Mail) -> None:
        self.mails.append(mail)

    def token(self) -> str:
        found = re.search(r"Your token: (\S+)", self.mails[-1].text)
        assert found is not None
        return found[1]


class Watched(Passwords):
    """Cheap hashes; remembers against what passwords were compared."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_kib=8, parallelism=1)
        self.compared: list[str | None] = []

    def matches(self, kept: str | None, password: str) -> bool:
        self.compared.append(kept)
        return super().matches(kept, password)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database.open(database_url) as opened:
        opened.migrate()
        yield opened


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def passwords() -> Watched:
    return Watched()


@pytest.fixture
def accounts(database: Database, post: Post, passwords: Watched) -> Iterator[Accounts]:
    opened = Accounts(database, AccountConfig(signup_enabled=True), lambda: SECRET, passwords=passwords, mailer=post)
    opened.users.known_seconds = 0.0
    yield opened
    opened.close()


@pytest.fixture
def ann(accounts: Accounts) -> User:
    return accounts.users.create(EMAIL, PASSWORD)


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def age(database: Database, table: sa.Table, column: str, by: timedelta) -> None:
    with database.write() as connection:
        rows = connection.execute(sa.select(*table.primary_key.columns, table.c[column])).all()
        for row in rows:
            mine = sa.and_(*(column == value for column, value in zip(table.primary_key.columns, row, strict=False)))
            connection.execute(sa.update(table).where(mine).values({column: row[-1] - by}))


# --- users ---------------------------------------------------------------------------------------------------------


def test_a_user_is_made_read_changed_and_deleted(accounts: Accounts, database: Database) -> None:
    made = accounts.users.create(" Ann@Example.ORG", PASSWORD, role=Role.ADMIN, profile=Profile(first_name="Ann"))
    assert (made.email, made.role, made.profile.first_name) == (EMAIL, Role.ADMIN, "Ann")
    assert accounts.users.get(made.id) == made == accounts.users.find("ANN@example.org")
    assert made.signed_in_at is None
    changed = accounts.users.change_profile(
        made.id, Profile.model_validate({"firstName": "", "lastName": "Lee", "phone": "+49 1", "deliveryCity": "Köln"})
    )
    assert (changed.profile.first_name, changed.profile.last_name) == ("Ann", "Lee")  # an empty name is ignored
    cleared = accounts.users.change_profile(made.id, Profile.model_validate({"phone": None}))
    assert (cleared.profile.phone, cleared.profile.delivery_city) == (None, "Köln")
    assert accounts.users.set_role(made.id, Role.USER).role is Role.USER
    accounts.sessions.open(made)
    accounts.keys.create("ci", [Scope.READ], user_id=made.id)
    accounts.users.delete(made.id)
    assert [count(database, table) for table in (USERS, SESSIONS, REFRESH_TOKENS, API_KEYS)] == [0, 0, 0, 0]
    for missing in (made.id, NOBODY, "no id", "x'; DROP TABLE users; --"):
        with pytest.raises(UserNotFoundError):
            accounts.users.get(missing)
        with pytest.raises(UserNotFoundError):
            accounts.users.delete(missing)


def test_no_password_is_kept(accounts: Accounts, ann: User, database: Database) -> None:
    with database.read() as connection:
        row = connection.execute(sa.select(USERS)).one()
    assert row.password_hash.startswith("$argon2id$")
    assert PASSWORD not in str(row)


def test_an_email_belongs_to_one_user_however_it_is_spelled(accounts: Accounts, ann: User) -> None:
    with pytest.raises(EmailTakenError):
        accounts.users.create("ANN@EXAMPLE.ORG", PASSWORD)
    assert accounts.users.browse().items == (ann,)


def test_two_at_once_with_one_email_make_one_user(accounts: Accounts) -> None:
    ready = threading.Barrier(4)

    def make(_: int) -> str:
        ready.wait(20)
        try:
            return accounts.users.create(EMAIL, PASSWORD).email
        except EmailTakenError as error:
            return error.code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(make, range(4))) == [EMAIL, *["email_exists"] * 3]


def test_users_are_listed_page_by_page(accounts: Accounts) -> None:
    made = [accounts.users.create(f"u{index}@example.org", PASSWORD).email for index in range(5)]
    first = accounts.users.browse(limit=3)
    second = accounts.users.browse(limit=3, cursor=first.cursor)
    assert [user.email for user in first.items + second.items] == made
    assert second.cursor is None


@pytest.mark.parametrize("email", ["' OR '1'='1", "ann@example.org' --", "nobody", "", "ann@example.org\x00"])
def test_hostile_emails_find_nobody(accounts: Accounts, ann: User, email: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        accounts.sessions.sign_in(email, PASSWORD)
    with pytest.raises(InvalidOptionError):
        accounts.users.create(email, PASSWORD)


# --- passwords -----------------------------------------------------------------------------------------------------


def test_an_unknown_email_costs_a_hash_and_says_the_same(accounts: Accounts, ann: User, passwords: Watched) -> None:
    said = []
    for email, password in ((EMAIL, "wrong password"), ("bob@example.org", PASSWORD)):
        with pytest.raises(InvalidCredentialsError) as refused:
            accounts.sessions.sign_in(email, password)
        said.append((refused.value.message, refused.value.hint))
    assert said[0] == said[1]
    assert passwords.compared[1] is None
    assert len(passwords.compared) == 2


def test_a_hash_of_other_parameters_is_renewed_at_the_next_sign_in(database: Database, ann: User) -> None:
    def kept() -> str:
        with database.read() as connection:
            return str(connection.execute(sa.select(USERS.c.password_hash)).scalar_one())

    before = kept()
    later = Accounts(database, AccountConfig(), lambda: SECRET, passwords=Watched(time_cost=2))
    assert later.sessions.sign_in(EMAIL, PASSWORD).user.signed_in_at is not None
    after = kept()
    later.sessions.sign_in(EMAIL, PASSWORD)
    later.close()
    assert ",t=1," in before
    assert ",t=2," in after
    assert kept() == after


def test_a_changed_password_ends_the_other_sessions(accounts: Accounts, ann: User) -> None:
    here, there = accounts.sessions.open(ann), accounts.sessions.open(ann)
    mine = accounts.callers.find(here.access_token)
    accounts.callers.find(there.access_token)
    with pytest.raises(InvalidCredentialsError):
        accounts.users.change_password(ann.id, "wrong password", "new password")
    with pytest.raises(InvalidCredentialsError):
        accounts.users.change_password(ann.id, "short", "new password")
    with pytest.raises(InvalidOptionError):
        accounts.users.change_password(ann.id, PASSWORD, "short")
    accounts.users.change_password(ann.id, PASSWORD, "new password", session_id=mine.session_id)
    assert accounts.callers.find(here.access_token) == mine
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(there.access_token)
    with pytest.raises(InvalidCredentialsError):
        accounts.sessions.sign_in(EMAIL, PASSWORD)
    assert accounts.sessions.sign_in(EMAIL, "new password").user.id == ann.id


def test_who_signs_in_while_the_password_changes_is_not_left_signed_in(
    accounts: Accounts, ann: User, database: Database
) -> None:
    def sign_in(password: str) -> Grant | None:
        ready.wait(20)
        try:
            return accounts.sessions.sign_in(EMAIL, password)
        except InvalidCredentialsError:
            return None

    def change(old: str, new: str) -> None:
        ready.wait(20)
        accounts.users.change_password(ann.id, old, new)

    left = []
    with ThreadPoolExecutor(3) as threads:
        for index in range(20):
            ready = threading.Barrier(3)
            old, new = f"password {index}", f"password {index + 1}"
            if index == 0:
                accounts.users.set_password(ann.id, old)
            changed = threads.submit(change, old, new)
            grants = [threads.submit(sign_in, old) for _ in range(2)]
            changed.result(60)
            left += [grant for grant in (future.result(60) for future in grants) if grant is not None]
            assert count(database, SESSIONS) == 0, f"round {index}"
    for grant in left:
        with pytest.raises(TokenInvalidError):
            accounts.sessions.refresh(grant.refresh_token)


def test_of_two_who_change_the_same_password_one_is_refused(accounts: Accounts, ann: User) -> None:
    def change(new: str) -> str | None:
        ready.wait(20)
        try:
            accounts.users.change_password(ann.id, old, new)
        except InvalidCredentialsError:
            return None
        return new

    old = PASSWORD
    with ThreadPoolExecutor(2) as threads:
        for index in range(10):
            ready = threading.Barrier(2)
            made = list(threads.map(change, [f"the thief's {index}", f"the owner's {index}"]))
            assert made.count(None) == 1
            old = next(password for password in made if password is not None)
            assert accounts.users.authenticate(EMAIL, old).id == ann.id


def test_two_who_sign_in_while_the_hash_is_renewed_both_come_in(database: Database, ann: User) -> None:
    compared = threading.Barrier(2)

    class Together(Watched):
        """Both have compared the password with the old hash before one of them writes another."""

        def matches(self, kept: str | None, password: str) -> bool:
            same = super().matches(kept, password)
            if len(self.compared) <= 2:
                compared.wait(20)
            return same

    later = Accounts(database, AccountConfig(), lambda: SECRET, passwords=Together(time_cost=2))
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: later.sessions.sign_in(EMAIL, PASSWORD).user.id, range(2)))
    assert made == [ann.id] * 2
    later.close()


def test_keys_outlive_the_password_unless_they_are_revoked_with_it(accounts: Accounts, ann: User, post: Post) -> None:
    _, operators = accounts.keys.create("ops", [Scope.READ])

    def made() -> str:
        return accounts.keys.create("batch", [Scope.READ], user_id=ann.id)[1]

    def redeem(*, revoke_keys: bool) -> None:
        accounts.resets.ask(EMAIL)
        accounts.errands.wait()
        accounts.resets.redeem(post.token(), PASSWORD, revoke_keys=revoke_keys)

    for replace in (
        lambda revoke: accounts.users.change_password(ann.id, PASSWORD, PASSWORD, revoke_keys=revoke),
        lambda revoke: accounts.users.set_password(ann.id, PASSWORD, revoke_keys=revoke),
        lambda revoke: redeem(revoke_keys=revoke),
    ):
        key = made()
        replace(False)
        assert accounts.callers.find(key).user_id == ann.id
        replace(True)
        with pytest.raises(TokenInvalidError):
            accounts.callers.find(key)
    assert accounts.callers.find(operators).owner is None


def test_a_lost_password_is_replaced_once(accounts: Accounts, ann: User, post: Post, database: Database) -> None:
    grant = accounts.sessions.open(ann)
    accounts.resets.ask("ANN@example.org")
    accounts.errands.wait()
    token = post.token()
    assert post.mails[0].to == EMAIL
    with pytest.raises(InvalidOptionError):
        accounts.resets.redeem(token, "short")
    accounts.resets.redeem(token, "new password")
    with pytest.raises(ResetTokenError):
        accounts.resets.redeem(token, "other password")
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(grant.access_token)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(grant.refresh_token)
    assert accounts.sessions.sign_in(EMAIL, "new password").user.id == ann.id
    assert count(database, PASSWORD_RESETS) == 0


def test_only_the_newest_mail_counts_and_for_an_hour(
    accounts: Accounts, ann: User, post: Post, database: Database
) -> None:
    accounts.resets.ask(EMAIL)
    accounts.errands.wait()
    first = post.token()
    accounts.resets.ask(EMAIL)
    accounts.errands.wait()
    for token in (first, "", "x" * 43, "' OR 1=1 --"):
        with pytest.raises(ResetTokenError):
            accounts.resets.redeem(token, "new password")
    with database.read() as connection:
        row = connection.execute(sa.select(PASSWORD_RESETS)).one()
    assert post.token() not in str(row)
    age(database, PASSWORD_RESETS, "expires_at", timedelta(hours=1))
    with pytest.raises(ResetTokenError):
        accounts.resets.redeem(post.token(), "new password")


def test_one_of_two_at_once_redeems_a_token(accounts: Accounts, ann: User, post: Post) -> None:
    accounts.resets.ask(EMAIL)
    accounts.errands.wait()
    token, ready = post.token(), threading.Barrier(2)

    def redeem(password: str) -> str:
        ready.wait(20)
        try:
            accounts.resets.redeem(token, password)
        except FacecraftError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(redeem, ["password one", "password two"])) == ["done", "invalid_reset_token"]


def test_nobody_gets_mail_who_has_no_account(accounts: Accounts, ann: User, post: Post) -> None:
    accounts.users.set_disabled(ann.id, disabled=True)
    for email in (EMAIL, "bob@example.org"):
        accounts.resets.ask(email)
    accounts.errands.wait()
    assert post.mails == []


# --- sessions ------------------------------------------------------------------------------------------------------


def test_whoever_signs_in_is_known_by_the_access_token(accounts: Accounts, ann: User, database: Database) -> None:
    grant = accounts.sessions.sign_in(EMAIL, PASSWORD, agent="Browser\x07 1.0" + "x" * 300)
    caller = accounts.callers.find(grant.access_token)
    assert (caller.owner, caller.user_id, caller.role, caller.key_id) == (ann.id, ann.id, Role.USER, None)
    assert caller.scopes == {Scope.READ, Scope.WRITE}
    (session,) = accounts.sessions.browse(ann.id)
    assert session.id == caller.session_id
    assert session.agent is not None
    assert session.agent.startswith("Browser 1.0x")
    assert len(session.agent) == 200
    with database.read() as connection:
        rows = str([connection.execute(sa.select(table)).all() for table in METADATA.sorted_tables])
    assert grant.access_token not in rows
    assert grant.refresh_token not in rows
    assert grant.refresh_token not in repr(grant)


def test_a_refresh_token_is_good_once(accounts: Accounts, ann: User) -> None:
    first = accounts.sessions.open(ann)
    second = accounts.sessions.refresh(first.refresh_token)
    third = accounts.sessions.refresh(second.refresh_token)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert accounts.callers.find(third.access_token).user_id == ann.id
    assert len(accounts.sessions.browse(ann.id)) == 1


def test_a_refresh_token_that_comes_again_ends_the_session(accounts: Accounts, ann: User, database: Database) -> None:
    other = accounts.sessions.open(ann)
    first = accounts.sessions.open(ann)
    second = accounts.sessions.refresh(first.refresh_token)
    accounts.callers.find(second.access_token)
    age(database, SESSIONS, "refreshed_at", timedelta(seconds=11))
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(first.refresh_token)
    for token in (first.access_token, second.access_token):
        with pytest.raises(TokenInvalidError):
            accounts.callers.find(token)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(second.refresh_token)
    assert accounts.callers.find(other.access_token).user_id == ann.id  # another device stays signed in


def refresh_at_once(accounts: Accounts, token: str) -> list[Grant | None]:
    """Refresh with one token in four threads."""
    ready = threading.Barrier(4)

    def refresh(_: int) -> Grant | None:
        ready.wait(20)
        try:
            return accounts.sessions.refresh(token)
        except TokenInvalidError:
            return None

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(refresh, range(4)))


def test_of_many_refreshes_at_once_one_succeeds_without_a_grace(
    database: Database, post: Post, passwords: Watched, ann: User
) -> None:
    strict = Accounts(
        database, AccountConfig(refresh_grace_seconds=0), lambda: SECRET, passwords=passwords, mailer=post
    )
    with closing(strict):
        done = refresh_at_once(strict, strict.sessions.open(ann).refresh_token)
        assert sum(grant is not None for grant in done) == 1
        assert strict.sessions.browse(ann.id) == ()


def test_a_refresh_token_names_its_session_also_when_it_was_used(accounts: Accounts, ann: User) -> None:
    grant = accounts.sessions.open(ann)
    session_id = accounts.callers.find(grant.access_token).session_id
    later = accounts.sessions.refresh(grant.refresh_token)
    assert {accounts.sessions.of(one.refresh_token) for one in (grant, later)} == {session_id}
    assert accounts.sessions.of("x") is None


def test_tabs_that_refresh_at_once_all_stay_signed_in(accounts: Accounts, ann: User) -> None:
    done = [grant for grant in refresh_at_once(accounts, accounts.sessions.open(ann).refresh_token) if grant]
    assert len(done) == 4
    assert len({grant.refresh_token for grant in done}) == 4
    assert {accounts.callers.find(grant.access_token).user_id for grant in done} == {ann.id}
    assert len(accounts.sessions.browse(ann.id)) == 1
    # Whichever of the tokens the browser kept last is good.
    accounts.sessions.refresh(accounts.sessions.refresh(done[2].refresh_token).refresh_token)


def test_of_the_tokens_of_a_grace_one_goes_on_and_the_others_end_the_session(
    accounts: Accounts, ann: User, database: Database
) -> None:
    first = accounts.sessions.open(ann)
    owner, thief = (accounts.sessions.refresh(first.refresh_token) for _ in range(2))
    age(database, SESSIONS, "refreshed_at", timedelta(minutes=15))
    later = accounts.sessions.refresh(owner.refresh_token)
    age(database, SESSIONS, "refreshed_at", timedelta(seconds=11))
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(thief.refresh_token)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(later.refresh_token)
    assert accounts.sessions.browse(ann.id) == ()


def test_coming_again_does_not_make_the_grace_longer(accounts: Accounts, ann: User, database: Database) -> None:
    first = accounts.sessions.open(ann)
    accounts.sessions.refresh(first.refresh_token)
    age(database, SESSIONS, "refreshed_at", timedelta(seconds=7))
    accounts.sessions.refresh(first.refresh_token)
    age(database, SESSIONS, "refreshed_at", timedelta(seconds=4))
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(first.refresh_token)
    assert accounts.sessions.browse(ann.id) == ()


def test_a_token_of_the_generation_before_has_no_grace(accounts: Accounts, ann: User) -> None:
    first = accounts.sessions.open(ann)
    accounts.sessions.refresh(accounts.sessions.refresh(first.refresh_token).refresh_token)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(first.refresh_token)
    assert accounts.sessions.browse(ann.id) == ()


def test_a_grace_opens_nothing_for_who_is_locked_out(accounts: Accounts, ann: User, database: Database) -> None:
    first = accounts.sessions.open(ann)
    accounts.sessions.refresh(first.refresh_token)
    with database.write() as connection:
        connection.execute(sa.update(USERS).values(disabled_at=now()))
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(first.refresh_token)


def test_sessions_and_refresh_tokens_expire(accounts: Accounts, ann: User, database: Database) -> None:
    grant = accounts.sessions.open(ann)
    age(database, SESSIONS, "expires_at", timedelta(days=31))
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(grant.access_token)
    assert accounts.sessions.browse(ann.id) == ()
    age(database, REFRESH_TOKENS, "expires_at", timedelta(days=31))
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(grant.refresh_token)
    kept = accounts.sessions.open(ann)
    accounts.sessions.open(ann)
    accounts.sessions.sweep()
    assert count(database, SESSIONS) == 2
    age(database, SESSIONS, "expires_at", timedelta(days=31))
    accounts.sessions.sweep()
    assert count(database, SESSIONS) == count(database, REFRESH_TOKENS) == 0
    for token in ("", "x", kept.refresh_token):
        with pytest.raises(TokenInvalidError):
            accounts.sessions.refresh(token)


def test_the_sweep_deletes_in_pieces_and_holds_nobody_up(accounts: Accounts, ann: User, database: Database) -> None:
    accounts.sessions.open(ann)
    session_id = accounts.sessions.browse(ann.id)[0].id
    old = [
        {"digest": f"{index:064}", "session_id": session_id, "generation": 0, "expires_at": now() - timedelta(days=1)}
        for index in range(1234)
    ]
    deleted: list[int] = []
    plans: list[str] = []

    def watch(connection: Connection, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)
        if statement.startswith(("DELETE", "SELECT")) and database.is_sqlite:
            explained = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", given)
            plans.extend(row[-1] for row in explained.fetchall())

    with database.write() as connection:
        connection.execute(sa.insert(REFRESH_TOKENS), old)
    with database.read() as connection:
        engine = connection.engine
    sa.event.listen(engine, "after_cursor_execute", watch)
    try:
        accounts.sessions.sweep()
    finally:
        sa.event.remove(engine, "after_cursor_execute", watch)
    assert (sum(deleted), len(deleted)) == (1234, 3)
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
    assert (count(database, SESSIONS), count(database, REFRESH_TOKENS)) == (1, 1)
    with ThreadPoolExecutor(1) as threads, database.write() as connection:
        connection.execute(sa.update(USERS).values(phone="1"))
        threads.submit(accounts.sessions.sweep).result(5)  # somebody writes, and there is nothing to delete


def test_a_session_is_ended_by_its_user_only(accounts: Accounts, ann: User) -> None:
    bob = accounts.users.create("bob@example.org", PASSWORD)
    grant = accounts.sessions.open(ann)
    session_id = str(accounts.callers.find(grant.access_token).session_id)
    for user_id, wrong in ((bob.id, session_id), (ann.id, NOBODY), (ann.id, "x")):
        with pytest.raises(SessionNotFoundError):
            accounts.sessions.end(wrong, user_id=user_id)
    accounts.sessions.end(session_id, user_id=ann.id)
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(grant.access_token)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(grant.refresh_token)


def test_who_is_locked_out_is_out_at_once(accounts: Accounts, ann: User) -> None:
    grant = accounts.sessions.open(ann)
    _, key = accounts.keys.create("ci", [Scope.READ], user_id=ann.id)
    accounts.callers.find(grant.access_token)
    accounts.callers.find(key)
    accounts.users.set_disabled(ann.id, disabled=True)
    for text in (grant.access_token, key):
        with pytest.raises(TokenInvalidError):
            accounts.callers.find(text)
    with pytest.raises(TokenInvalidError):
        accounts.sessions.refresh(grant.refresh_token)
    with pytest.raises(AccountDisabledError):
        accounts.sessions.sign_in(EMAIL, PASSWORD)
    with pytest.raises(InvalidCredentialsError):  # who does not know the password learns nothing
        accounts.sessions.sign_in(EMAIL, "wrong password")
    accounts.users.set_disabled(ann.id, disabled=False)
    assert accounts.callers.find(key).owner == ann.id


def test_strangers_sign_up_only_where_they_may(accounts: Accounts, database: Database) -> None:
    grant = accounts.sign_up(EMAIL, PASSWORD, Profile(first_name="Ann"))
    assert accounts.callers.find(grant.access_token).role is Role.USER
    closed = Accounts(database, AccountConfig(), lambda: SECRET, passwords=Watched())
    with pytest.raises(SignupDisabledError):
        closed.sign_up("bob@example.org", PASSWORD, Profile())
    closed.close()


# --- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_acts_for_its_user(accounts: Accounts, ann: User, database: Database) -> None:
    made, secret = accounts.keys.create(" ci ", [Scope.READ], user_id=ann.id)
    assert re.fullmatch(r"fck_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", secret)
    caller = accounts.callers.find(secret)
    assert (caller.owner, caller.key_id, caller.scopes) == (ann.id, made.id, {Scope.READ})
    with database.read() as connection:
        row = connection.execute(sa.select(API_KEYS)).one()
    assert secret.rpartition("_")[2] not in str(row)
    accounts.errands.wait()
    (listed,) = accounts.keys.browse(ann.id)
    assert (listed.name, listed.used_at is not None) == ("ci", True)


def test_the_use_of_a_key_is_noted_once_a_minute(accounts: Accounts, ann: User, database: Database) -> None:
    _, secret = accounts.keys.create("ci", [Scope.READ], user_id=ann.id)

    def noted() -> object:
        accounts.callers.forget()
        accounts.callers.find(secret)
        accounts.errands.wait()
        return accounts.keys.browse(ann.id)[0].used_at

    first = noted()
    assert noted() == first
    age(database, API_KEYS, "used_at", timedelta(seconds=61))
    assert noted() >= first  # type: ignore[operator]


def test_a_key_of_the_operator_owns_what_is_nobodys(accounts: Accounts) -> None:
    _, secret = accounts.keys.create("ops", list(Scope))
    caller = accounts.callers.find(secret)
    assert (caller.owner, caller.user_id, caller.role, caller.scopes) == (None, None, Role.ADMIN, set(Scope))
    assert not caller.is_anonymous


def test_keys_that_are_wrong_open_nothing(accounts: Accounts, ann: User) -> None:
    made, secret = accounts.keys.create("ci", [Scope.READ], user_id=ann.id)
    _, other = accounts.keys.create("other", [Scope.READ], user_id=ann.id)
    head, tail = secret[:37], secret[37:]
    wrong = [
        head, head + tail[:-1], secret + "x", "fck_", "fck__", head + other[37:], f"fck_{'0' * 32}_{tail}",
        f"fck_{'g' * 32}_{tail}", secret.upper(), "fck_" + "x" * 5000, f"fck_{made.id}_{tail}", head + "' OR 1=1",
        secret + "\x00", secret + "\udc80",
    ]  # fmt: skip
    for text in wrong:
        with pytest.raises(TokenInvalidError):
            accounts.callers.find(text)
    assert accounts.callers.find(secret).key_id == made.id


def test_revoked_and_expired_keys_open_nothing(accounts: Accounts, ann: User, database: Database) -> None:
    bob = accounts.users.create("bob@example.org", PASSWORD)
    made, secret = accounts.keys.create("ci", [Scope.READ], user_id=ann.id)
    accounts.callers.find(secret)
    for user_id, wrong in ((bob.id, made.id), (ann.id, NOBODY), (ann.id, "x")):
        with pytest.raises(ApiKeyNotFoundError):
            accounts.keys.revoke(wrong, user_id=user_id)
    assert accounts.callers.find(secret).key_id == made.id
    accounts.keys.revoke(made.id, user_id=ann.id)
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(secret)
    _, short = accounts.keys.create("short", [Scope.READ], expires_at=now() + timedelta(hours=1))
    accounts.callers.find(short)
    age(database, API_KEYS, "expires_at", timedelta(hours=1))
    accounts.callers.forget()
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(short)


def test_a_key_is_never_stronger_than_its_user(accounts: Accounts, ann: User) -> None:
    with pytest.raises(InvalidOptionError):
        accounts.keys.create("admin", [Scope.ADMIN], user_id=ann.id)
    accounts.users.set_role(ann.id, Role.ADMIN)
    _, secret = accounts.keys.create("admin", [Scope.ADMIN, Scope.READ], user_id=ann.id)
    assert Scope.ADMIN in accounts.callers.find(secret).scopes
    accounts.users.set_role(ann.id, Role.USER)
    assert accounts.callers.find(secret).scopes == {Scope.READ}
    with pytest.raises(InvalidOptionError):
        accounts.keys.create("none", [], user_id=ann.id)
    with pytest.raises(InvalidOptionError):
        accounts.keys.create("late", [Scope.READ], expires_at=now() - timedelta(hours=1))
    with pytest.raises(UserNotFoundError):
        accounts.keys.create("nobody", [Scope.READ], user_id=NOBODY)


# --- between processes ---------------------------------------------------------------------------------------------


def test_what_another_process_revokes_is_refused_when_the_memory_is_over(
    accounts: Accounts, ann: User, database: Database
) -> None:
    other = Accounts(database, AccountConfig(), lambda: SECRET, passwords=Watched())
    other.callers._seconds = 0.2
    made, secret = accounts.keys.create("ci", [Scope.READ], user_id=ann.id)
    assert other.callers.find(secret).key_id == made.id
    assert other.callers.remembered(secret) is not None
    accounts.keys.revoke(made.id, user_id=ann.id)
    deadline = threading.Event()
    deadline.wait(0.25)
    assert other.callers.remembered(secret) is None
    with pytest.raises(TokenInvalidError):
        other.callers.find(secret)
    other.close()


def test_anybody_is_noticed(accounts: Accounts, database: Database) -> None:
    assert not accounts.callers.anybody()
    made, _ = accounts.keys.create("ops", [Scope.READ])
    assert accounts.callers.anybody()
    accounts.keys.revoke_any(made.id)
    assert accounts.callers.anybody()  # who was asked who they are is not let in because the last key is gone
    assert not accounts.callers.present()


def test_who_is_the_last_to_go_leaves_the_door_closed(
    accounts: Accounts, ann: User, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    bob = accounts.users.create("bob@example.org", PASSWORD)
    accounts.users.delete(ann.id)
    assert "NOBODY MAY USE" not in caplog.text
    accounts.users.delete(bob.id)
    assert "NOBODY MAY USE" in caplog.text
    elsewhere = Accounts(database, AccountConfig(), lambda: SECRET)
    assert accounts.callers.anybody()
    assert elsewhere.callers.anybody()
    elsewhere.close()


def test_who_is_taken_back_was_never_there(accounts: Accounts, ann: User) -> None:
    accounts.users.take_back(ann.id)
    assert not accounts.callers.anybody()


# --- what users own ------------------------------------------------------------------------------------------------


def test_everything_that_is_nobodys_is_handed_over(accounts: Accounts, ann: User, database: Database) -> None:
    bob = accounts.users.create("bob@example.org", PASSWORD)
    galleries = Galleries(database)
    free = galleries.create("free", "sface")
    taken = galleries.create("taken", "sface", owner=bob.id)
    galleries.enroll(free.id, "Cy", model_id="sface")
    assert accounts.adopt(ann.id) == {"galleries": 1, "gallery_people": 1}
    assert galleries.get(free.id, owner=ann.id).people == 1
    assert [one.id for one in galleries.browse(owner=bob.id).items] == [taken.id]
    assert galleries.browse().items == ()
    assert accounts.adopt(bob.id) == {}


def test_nothing_is_handed_over_while_a_job_runs(accounts: Accounts, ann: User, database: Database) -> None:
    Galleries(database).create("free", "sface")
    jobs = JobRepository(database)
    task = PipelineTask(name="cutout", pipeline=CutoutPresetOptions().pipeline())
    running, waiting = (jobs.add(NewJob(None, task, (Item(0, "a.jpg", {}),))) for _ in range(2))
    leases = Leases(jobs)
    lease = leases.claim([GPU], NOBODY)
    assert lease is not None
    with pytest.raises(JobStateError, match="running"):
        accounts.adopt(ann.id)
    assert jobs.list(ann.id).items == ()
    assert len(Galleries(database).browse().items) == 1
    leases.finish(lease, JobState.CANCELLED)
    assert accounts.adopt(ann.id) == {"galleries": 1, "jobs": 2}
    assert {job.id for job in jobs.list(ann.id).items} == {running.id, waiting.id}
    taken = leases.claim([GPU], NOBODY)
    assert taken is not None
    assert taken.job.owner == ann.id


def test_a_user_is_erased_when_no_process_lets_them_in_any_more(
    accounts: Accounts, ann: User, database: Database
) -> None:
    _, secret = accounts.keys.create("ci", [Scope.WRITE], user_id=ann.id)
    elsewhere = Accounts(database, AccountConfig(), lambda: SECRET)
    elsewhere.callers.find(secret)
    assert elsewhere.callers.remembered(secret)
    accounts.users.known_seconds = MEMORY_SECONDS
    let_in: list[object] = []
    accounts.users.on_deleted.append(lambda _: let_in.append(elsewhere.callers.remembered(secret)))
    accounts.users.delete(ann.id)
    assert let_in == [None]
    elsewhere.close()


def test_adoption_knows_every_table_with_an_owner() -> None:
    names = {table.name for table in METADATA.sorted_tables if "owner" in table.c}
    assert {"galleries", "gallery_people", "gallery_faces", "jobs", "blobs", "webhooks"} <= names


def test_what_a_deleted_user_owned_is_deleted_first(accounts: Accounts, ann: User, database: Database) -> None:
    grant = accounts.sessions.open(ann)
    seen: list[str] = []

    def fail(owner: str) -> None:
        seen.append(owner)
        raise StorageError

    accounts.users.on_deleted.append(fail)
    with pytest.raises(StorageError):
        accounts.users.delete(ann.id)
    kept = accounts.users.get(ann.id)
    assert kept.disabled_at is not None
    with pytest.raises(TokenInvalidError):
        accounts.callers.find(grant.access_token)
    accounts.users.on_deleted[:] = [seen.append]
    accounts.users.delete(ann.id)
    assert seen == [ann.id, ann.id]
    assert count(database, GALLERIES) == count(database, USERS) == 0

"""`ocpi-nap user …`: the accounts of the console."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from ocpi_nap.cli.context import Context, run
from ocpi_nap.cli.errors import CliError
from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import ROLES, Account
from ocpi_nap.web import passwords

user_app = typer.Typer(help="Accounts of the console.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The account's name.")]
RoleName = Annotated[str, typer.Option(help="viewer, operator or admin")]
_ADDRESS = "command line"


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise CliError(f"--role: viewer, operator or admin is required (got {role[:20]!r}).")
    return role


def _new_password() -> tuple[str, bool]:
    """A password typed twice, or a generated one (True) when none is typed or nobody is there to type."""
    if not sys.stdin.isatty():
        return passwords.generate(), True
    password = getpass.getpass("Password (empty: one is made): ")
    if not password:
        return passwords.generate(), True
    weak = passwords.problem(password)
    if weak:
        raise CliError(weak)
    if getpass.getpass("Again: ") != password:
        raise CliError("The two passwords differ.")
    return password, False


async def _account(context: Context, name: str) -> Account:
    account = await sql.account_by_name(context.db, name)
    if account is None:
        raise CliError(f"There is no account named {name!r}.", "`ocpi-nap user list` shows all.")
    return account


@user_app.command()
def add(name: Name, role: RoleName = "viewer") -> None:
    """Add an account; its password is asked for, or made and printed."""
    role = _checked_role(role)
    if not sql.usable_name(name):
        raise CliError("NAME: 1 to 100 visible characters are required.")
    password, made = _new_password()

    async def act(context: Context) -> None:
        if not await sql.add_account(context.db, name.strip(), role, passwords.hash_password(password)):
            raise CliError(f"NAME: an account named {name!r} exists already.")
        await sql.note_act(context.db, _ADDRESS, "added account", name, _ADDRESS, {"role": role})
        print(f"Account {name} is added with the role {role}; it signs in at {context.settings.public_url.rstrip('/')}/console")
        if made:
            print(f"Password: {password}")

    run(act)


@user_app.command()
def password(name: Name) -> None:
    """Give an account a new password; its sessions end and its second factor is taken off."""
    new, made = _new_password()

    async def act(context: Context) -> None:
        account = await _account(context, name)
        values = {"password_hash": passwords.hash_password(new), "totp_secret": None}
        await sql.change_account(context.db, account.id, values, end_sessions=True)
        await sql.note_act(context.db, _ADDRESS, "gave a new password", account.name, _ADDRESS)
        print(f"{account.name} has a new password{f': {new}' if made else '.'}")

    run(act)


@user_app.command("list")
def list_users() -> None:
    """All accounts."""
    for account in run(lambda context: sql.accounts(context.db)):
        seen = account.last_sign_in_at.strftime("%Y-%m-%d %H:%M UTC") if account.last_sign_in_at else "never"
        extra = " disabled" if account.disabled else ""
        print(f"{account.name:30} {account.role:10} last sign-in {seen}{extra}")


@user_app.command()
def role(name: Name, role: Annotated[str, typer.Argument(help="viewer, operator or admin")]) -> None:
    """Give an account another role."""
    wanted = _checked_role(role)

    async def act(context: Context) -> None:
        account = await _account(context, name)
        await sql.change_account(context.db, account.id, {"role": wanted}, end_sessions=False)
        await sql.note_act(context.db, _ADDRESS, "changed role", account.name, _ADDRESS, {"role": wanted})
        print(f"{account.name} has the role {wanted}.")

    run(act)


@user_app.command()
def disable(name: Name, undo: Annotated[bool, typer.Option("--undo", help="Let it sign in again.")] = False) -> None:
    """Keep an account from signing in; its sessions end."""

    async def act(context: Context) -> None:
        account = await _account(context, name)
        await sql.change_account(context.db, account.id, {"disabled": not undo}, end_sessions=True)
        await sql.note_act(context.db, _ADDRESS, "enabled account" if undo else "disabled account", account.name, _ADDRESS)
        print(f"{account.name} {'may sign in again' if undo else 'is disabled'}.")

    run(act)

"""Where the embedded servers keep their files, and as whom they run.

An ordinary user's servers run as that user and live in the data folder. PostgreSQL refuses to run as root, so root's servers
run as an unprivileged account; where that account cannot reach the data folder or the wheels (a checkout below ``/root``), the
files live in a state folder of their own. The modes of folders that are not ours are never changed.
"""

import os
import pwd
import shutil
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

from orchestrator.addresses import open_to_others, private_name, socket_folder
from orchestrator.environment import BadSetting, env_str
from orchestrator.programs import Account, CannotStart

STATE = Path("/var/lib/orchestrator")
ACCOUNTS = ("postgres", "nobody")


class PlaceRefused(CannotStart):
    """A folder cannot be used as the place of a server's files; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one data folder's servers; made by `places`, which promises that they exist and are private."""

    data: Path
    home: Path
    sockets: Path
    account: Account | None


def places(data: Path) -> Places:
    """Makes the folders of the servers of `data`. Raises `PlaceRefused`."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceRefused(
            f"The data folder {data} cannot be made ({error.strerror}); ORCHESTRATOR_DATA names another."
        ) from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise PlaceRefused(f"The data folder {data} cannot be written by this user. ORCHESTRATOR_DATA names another.")
    account = server_account(data) if os.geteuid() == 0 else None
    home = data
    if account and not open_to_others(data):
        home = STATE / private_name(data)
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not open_to_others(home):
            raise PlaceRefused(f"The account {account.name} reaches neither {data} nor {home}. ORCHESTRATOR_DATA names another.")
    sockets = socket_folder(data)
    private_folder(sockets, account)
    return Places(data, home, sockets, account)


def server_account(data: Path) -> Account:
    """Whom root's servers run as: the owner of data that is there already, else ORCHESTRATOR_ACCOUNT, else a usual one."""
    for folder in (data / "postgres", STATE / private_name(data) / "postgres"):
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            return Account(_name_of(owner.st_uid), owner.st_uid, owner.st_gid)
    chosen = env_str("ORCHESTRATOR_ACCOUNT")
    for name in (chosen,) if chosen else ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise BadSetting("ORCHESTRATOR_ACCOUNT: PostgreSQL does not run as root; name an existing unprivileged account.")


def private_folder(folder: Path, account: Account | None) -> None:
    """Makes `folder` for `account` alone, or checks that it is so. Someone else's folder or link is refused."""
    uid = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {uid, os.geteuid()}:
        raise PlaceRefused(f"{folder} exists and is not a folder of {account.name if account else 'this user'}; remove it.")
    if account and found.st_uid != uid:
        os.chown(folder, account.uid, account.gid)
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def reachable_copy(source: Path, parts: list[str], at: Places) -> Path:
    """The folder in which the account can run what lies in `source`: `source` itself, or a copy of `parts` of it in the
    state folder. A copy that was interrupted is never used: it gets its name last."""
    if at.account is None or open_to_others(source):
        return source
    stamp = f"{source.name}-{int(source.stat().st_mtime)}"
    copy = STATE / "binaries" / stamp
    if not copy.exists():
        draft = copy.with_name(f"{stamp}.{uuid.uuid4().hex}")
        for part in parts:
            if (source / part).is_dir():
                shutil.copytree(source / part, draft / part, symlinks=True)
            else:
                (draft / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / part, draft / part)
        try:
            draft.rename(copy)
        except OSError:  # another command was quicker
            shutil.rmtree(draft)
    return copy


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

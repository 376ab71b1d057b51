"""A repository and another version of this package: what changes, and what stays the author's."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from federator.errors import FederatorError, InputError, Problem
from federator.repository import init


@dataclass(frozen=True)
class Change:
    """A generated file that is another in the installed version.

    Attributes:
        path: where it is in the repository.
        old: what it is now; None if it is not there.
        new: what it is in the installed version; None if that does without.
        kept: whether it stays as it is, since the author changed or removed it.
    """

    path: str
    old: bytes | None
    new: bytes | None
    kept: bool

    def __str__(self) -> str:
        old, new = ((text or b"").decode(errors="replace") for text in (self.old, self.new))
        names = f"{self.path} (yours)" if self.kept else self.path, f"{self.path} (new)"
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
        told = "\n".join(diff)
        if not self.kept:
            return told
        return (
            f"{told}\n{self.path} stays, since you changed it. Take over by hand what you need, or "
            f"all of it:\n    federator update --take {self.path}"
        )


@dataclass(frozen=True)
class Update:
    """What brings a repository to the installed version."""

    folder: Path
    changes: tuple[Change, ...]
    record: init.Record

    def apply(self) -> None:
        """Write the changes, except to what is kept.

        Raises:
            FederatorError: if a file cannot be written.
        """
        try:
            for change in self.changes:
                if not change.kept:
                    init.write(self.folder / change.path, change.new)
            self.record.write(self.folder)
        except OSError as error:
            message = f"{error.filename}: cannot be written: {error.strerror}"
            raise FederatorError(Problem(message, hint="mend that, and run it again")) from None


def compare(folder: Path, take: Collection[str] = ()) -> Update:
    """Return what would bring a repository to the installed version.

    Args:
        folder: the repository.
        take: the files whose new version is to replace what the author made of them.

    Raises:
        InputError: if this is no such repository, or a newer version's; or it has no such file.
    """
    record = init.Record.read(folder)
    files = init.generated(record.federation)
    paths = sorted({*files, *record.files})
    for path in take:
        if path not in paths:
            hint = f"the generated files are {', '.join(paths)}"
            raise InputError(Problem(f"{path} is not generated", hint=hint))
    changes = []
    for path in paths:
        before, new = record.files.get(path), files.get(path)
        old = (folder / path).read_bytes() if (folder / path).is_file() else None
        asked, untouched = path in take, init.sha256(old) == before
        if old != new and (asked or init.sha256(new) != before):
            changes.append(Change(path, old, new, kept=not (asked or untouched)))
    return Update(folder, tuple(changes), init.Record.of(record.federation, files))

"""Published weights, fetched and checked.

A file under its own name is complete and has its hash; what is still on its way is called
``<name>.part`` and is taken up again where it broke off.
"""

import errno
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from pathlib import Path

from lacuna_models.artefact import sha256_of
from lacuna_models.errors import ModelsError
from lacuna_models.manifest import WeightsFile

_CHUNK = 1024 * 1024
_SPARE_DISK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Patience:
    """How long a host may take."""

    stall_s: float = 30.0
    """Without a byte for this long, the connection counts as broken."""
    attempts: int = 5
    """Attempts in a row that bring nothing new, before a URL is given up."""
    pause_s: float = 2.0
    """Before the second attempt; doubled for each further one."""


@dataclass(frozen=True)
class Fetched:
    """A file that is there, and whether it is the published one."""

    path: Path
    sha256: str
    verified: bool


@dataclass(frozen=True)
class Fetcher:
    """Gets files of the manifest into ``folder``, or takes them from ``source``."""

    folder: Path
    source: Path | None = None
    """A folder that has the files already, for machines without internet."""
    unverified: bool = False
    """Accept files whose hash is another, with a warning."""
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)

    def fetch_any(self, files: list[WeightsFile]) -> tuple[WeightsFile, Fetched]:
        """The first of these alternatives that can be had."""
        problems = []
        for file in files:
            try:
                return file, self.fetch(file)
            except _OutOfReach as problem:
                problems.append(str(problem))
        raise ModelsError("\n".join(problems))

    def fetch(self, file: WeightsFile) -> Fetched:
        """The file, from ``source`` or downloaded, with its hash checked.

        Raises ``ModelsError`` when it cannot be had or is not what the manifest says.
        """
        if self.source is not None:
            path = self.source / file.name
            if not path.is_file():
                raise _OutOfReach(f"{self.source} has no {file.name}")
            return self._checked(file, path)
        path = self.folder / file.name
        if path.is_file():
            self.say(f"{file.name}: is there, checking it")
            return self._checked(file, path)
        self.folder.mkdir(parents=True, exist_ok=True)
        problems = []
        for url in file.urls:
            try:
                return self._download(file, url)
            except _OutOfReach as problem:
                self.say(f"{file.name}: {problem}")
                problems.append(str(problem))
        raise _OutOfReach(
            f"{file.name} could not be fetched: {'; '.join(problems)}. On a machine without "
            "internet, put the file into a folder and name it with MODELS_FROM."
        )

    def _download(self, file: WeightsFile, url: str) -> Fetched:
        part = self.folder / f"{file.name}.part"
        resumed = part.exists() and part.stat().st_size > 0
        try:
            self._fill(file, url, part)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                part.unlink(missing_ok=True)
                raise ModelsError(
                    f"no space left in {self.folder} for {file.name}; its part is removed again"
                ) from error
            raise
        try:
            fetched = self._checked(file, part)
        except ModelsError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
            self.say(f"{file.name}: the download that was taken up again is damaged, starting over")
            return self._download(file, url)
        path = self.folder / file.name
        os.replace(part, path)
        return Fetched(path, fetched.sha256, fetched.verified)

    def _fill(self, file: WeightsFile, url: str, part: Path) -> None:
        """Downloads until ``part`` is complete, through as many connections as it takes."""
        failures, pause = 0, self.patience.pause_s
        progress = _Progress(file.name, self.say)
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                self._one_connection(file, url, part, progress)
                return
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code not in (408, 429):
                    raise _OutOfReach(f"{url} answers {error.code} {error.reason}") from error
                problem = f"{error.code} {error.reason}"
            except (
                TimeoutError,
                _Broken,
                HTTPException,
                urllib.error.URLError,
                ConnectionError,
            ) as error:
                problem = _reason(error, self.patience)
            now = part.stat().st_size if part.exists() else 0
            failures = 1 if now > before else failures + 1
            if failures >= self.patience.attempts:
                raise _OutOfReach(f"{url} gives up: {problem}")
            self.say(f"{file.name}: {problem}; trying again in {pause:.0f} s")
            time.sleep(pause)
            pause = self.patience.pause_s if now > before else pause * 2

    def _one_connection(
        self, file: WeightsFile, url: str, part: Path, progress: "_Progress"
    ) -> None:
        have = part.stat().st_size if part.exists() else 0
        if file.bytes is not None and have >= file.bytes:
            return
        request = urllib.request.Request(url, headers={"User-Agent": "lacuna-models"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            # This takes the proxies from http_proxy, https_proxy and no_proxy.
            opener = urllib.request.build_opener()
            answer = opener.open(request, timeout=self.patience.stall_s)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                part.unlink(missing_ok=True)
                raise _Broken("the host does not have that much of the file") from error
            raise
        with answer:
            start, total = _extent(answer.status, answer.headers, have)
            if file.bytes is not None and total not in (None, file.bytes) and not self.unverified:
                raise _OutOfReach(f"{url} has {total} bytes instead of {file.bytes}")
            self._need_space(file, (total or file.bytes or 0) - start)
            with part.open("r+b" if start else "wb") as out:
                if start:
                    out.seek(start)
                    out.truncate()
                # read1 gives what has come; read would wait for a whole chunk, and a host
                # that sends a byte now and then would never count as stalled.
                while block := answer.read1(_CHUNK):
                    out.write(block)
                    progress.show(out.tell(), total)
                    if total is not None and out.tell() > total:
                        raise _OutOfReach(f"{url} sends more than the {total} bytes it announced")
                end = out.tell()
        if total is not None and end < total:
            raise _Broken(f"the connection ended after {end} of {total} bytes")

    def _need_space(self, file: WeightsFile, more: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if more > 0 and free < more + _SPARE_DISK:
            raise ModelsError(
                f"{self.folder} has {free >> 20} MiB free, {file.name} needs {more >> 20} MiB more"
            )

    def _checked(self, file: WeightsFile, path: Path) -> Fetched:
        size, found = path.stat().st_size, sha256_of(path)
        if found == file.sha256:
            self.say(f"{file.name}: {size} bytes, sha256 as published")
            return Fetched(path, found, verified=True)
        if file.bytes is not None and size != file.bytes:
            problem = f"{path} has {size} bytes instead of {file.bytes}"
        else:
            problem = f"{path} has the sha256 {found} instead of {file.sha256}"
        if not self.unverified:
            raise ModelsError(
                f"{problem}: it is not the published file. Delete it and fetch it again, or set "
                "MODELS_UNVERIFIED=1 if you know what it is."
            )
        bar = "!" * 78
        self.say(
            f"{bar}\n!! NOT THE PUBLISHED FILE: {problem}.\n"
            f"!! It is used all the same, since MODELS_UNVERIFIED=1.\n{bar}"
        )
        return Fetched(path, found, verified=False)


class _OutOfReach(ModelsError):
    """This source cannot give the file; another one may."""


class _Broken(Exception):
    """This connection ended early; the next one goes on from there."""


class _Progress:
    """A line now and then: each tenth of the file, and not more than one a second."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._tenth = -1
        self._last = 0.0

    def show(self, have: int, total: int | None) -> None:
        now = time.monotonic()
        tenth = have * 10 // total if total else have // (50 << 20)
        if tenth == self._tenth or (now - self._last < 1.0 and have != total):
            return
        self._tenth, self._last = tenth, now
        whole = f" of {total >> 20}" if total else ""
        self._say(f"{self._name}: {have >> 20}{whole} MiB")


def _extent(status: int, headers: HTTPMessage, have: int) -> tuple[int, int | None]:
    """Where in the file the answer's body starts, and how large the file is."""
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise _OutOfReach(f"a partial answer to another range: {headers.get('Content-Range')}")
        return have, None if match[3] == "*" else int(match[3])
    length = headers.get("Content-Length")
    return 0, int(length) if length and length.isdigit() else None


def _reason(error: Exception, patience: Patience) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the host stalled: no byte in {patience.stall_s:.0f} s"
    return str(cause) or type(cause).__name__

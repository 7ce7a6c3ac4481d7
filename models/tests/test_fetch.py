"""Fetching, against a server that misbehaves as hosts do."""

import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lacuna_models.errors import ModelsError
from lacuna_models.fetch import Fetcher, Patience
from lacuna_models.manifest import WeightsFile
from tests.hosts import Host, serving

CONTENT = np.random.default_rng(3).bytes(300_000)
QUICK = Patience(stall_s=0.4, attempts=3, pause_s=0.01)


def weights(*urls: str, content: bytes = CONTENT, size: int | None = len(CONTENT)) -> WeightsFile:
    return WeightsFile(
        name="weights.bin",
        model="lama",
        network="",
        urls=urls,
        bytes=size,
        sha256=hashlib.sha256(content).hexdigest(),
        licence="MIT",
    )


class Fetching:
    """A fetcher into an empty folder, and what it said."""

    def __init__(
        self, folder: Path, *, source: Path | None = None, unverified: bool = False
    ) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.fetcher = Fetcher(folder, source, unverified, QUICK, self.said.append)

    def left(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir())


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    (tmp_path / "cache").mkdir()
    return Fetching(tmp_path / "cache")


def test_a_file_is_downloaded_checked_and_kept(fetching: Fetching) -> None:
    with serving(Host(CONTENT)) as host:
        fetched = fetching.fetcher.fetch(weights(host.url))
        again = fetching.fetcher.fetch(weights(host.url))
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.verified
    assert again == fetched
    assert len(host.requests) == 1, "what is there is not fetched again"
    assert fetching.left() == ["weights.bin"]
    assert any("MiB" in line for line in fetching.said), "no progress was shown"


def test_redirects_are_followed(fetching: Fetching) -> None:
    with serving(Host(CONTENT, redirects=True)) as host:
        assert fetching.fetcher.fetch(weights(host.url)).path.read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_broke_off(fetching: Fetching) -> None:
    with serving(Host(CONTENT, breaks_after=[100_000, 50_000])) as host:
        fetched = fetching.fetcher.fetch(weights(host.url))
    assert fetched.path.read_bytes() == CONTENT
    assert [asked for _, asked in host.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_an_earlier_run_is_taken_up_again(fetching: Fetching) -> None:
    (fetching.folder / "weights.bin.part").write_bytes(CONTENT[:123_456])
    with serving(Host(CONTENT)) as host:
        fetched = fetching.fetcher.fetch(weights(host.url))
    assert fetched.path.read_bytes() == CONTENT
    assert host.requests == [("/weights.bin", "bytes=123456-")]


def test_a_host_without_ranges_sends_the_whole_file_again(fetching: Fetching) -> None:
    with serving(Host(CONTENT, ranges=False, breaks_after=[100_000])) as host:
        fetched = fetching.fetcher.fetch(weights(host.url))
    assert fetched.path.read_bytes() == CONTENT
    assert len(host.requests) == 2


def test_a_host_that_stalls_is_given_up_with_its_part_kept(fetching: Fetching) -> None:
    with serving(Host(CONTENT, stalls_after=[10_000, 0, 0, 0, 0])) as host:
        with pytest.raises(ModelsError, match=r"stalled: no byte in 0 s"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == ["weights.bin.part"]
    assert (fetching.folder / "weights.bin.part").stat().st_size == 10_000


def test_a_host_that_stalls_once_is_asked_again(fetching: Fetching) -> None:
    with serving(Host(CONTENT, stalls_after=[10_000])) as host:
        assert fetching.fetcher.fetch(weights(host.url)).path.read_bytes() == CONTENT
    assert [asked for _, asked in host.requests] == [None, "bytes=10000-"]


def test_bytes_that_come_one_by_one_are_taken_as_they_come(fetching: Fetching) -> None:
    content = b"slow but sure"
    with serving(Host(content, drips=True)) as host:
        file = weights(host.url, content=content, size=len(content))
        assert fetching.fetcher.fetch(file).path.read_bytes() == content


def test_a_wrong_hash_is_refused_and_nothing_is_kept(fetching: Fetching) -> None:
    wrong = CONTENT[:-1] + b"!"
    with serving(Host(wrong)) as host:
        with pytest.raises(ModelsError, match=r"has the sha256 .* instead of"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == []


def test_a_damaged_part_of_an_earlier_run_costs_one_more_download(fetching: Fetching) -> None:
    (fetching.folder / "weights.bin.part").write_bytes(b"x" * 1000)
    with serving(Host(CONTENT)) as host:
        fetched = fetching.fetcher.fetch(weights(host.url))
    assert fetched.path.read_bytes() == CONTENT
    assert [asked for _, asked in host.requests] == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_costs_one_more_download(fetching: Fetching) -> None:
    (fetching.folder / "weights.bin.part").write_bytes(CONTENT + b"more")
    with serving(Host(CONTENT)) as host:
        assert fetching.fetcher.fetch(weights(host.url)).path.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [0, 1000, len(CONTENT) + 1])
def test_a_file_of_another_size_is_refused_before_it_is_read(
    fetching: Fetching, length: int
) -> None:
    page = (CONTENT + CONTENT)[:length]
    with serving(Host(page)) as host:
        with pytest.raises(ModelsError, match=r"bytes instead of 300000|416"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == []


def test_a_short_file_of_a_host_that_announces_nothing_is_refused(fetching: Fetching) -> None:
    with serving(Host(CONTENT[:1000], announces_length=False)) as host:
        with pytest.raises(ModelsError, match="has 1000 bytes instead of 300000"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == []


def test_a_file_of_unknown_size_is_judged_by_its_hash(fetching: Fetching) -> None:
    with serving(Host(CONTENT, breaks_after=[5_000])) as host:
        assert fetching.fetcher.fetch(weights(host.url, size=None)).verified


def test_a_missing_file_is_not_asked_for_twice(fetching: Fetching) -> None:
    with serving(Host(CONTENT, statuses=[404, 404])) as host:
        with pytest.raises(ModelsError, match="answers 404"):
            fetching.fetcher.fetch(weights(host.url))
    assert len(host.requests) == 1


def test_a_busy_host_is_asked_again(fetching: Fetching) -> None:
    with serving(Host(CONTENT, statuses=[503, 429])) as host:
        assert fetching.fetcher.fetch(weights(host.url)).verified


def test_the_mirror_serves_when_the_source_does_not(fetching: Fetching) -> None:
    with serving(Host(CONTENT, statuses=[404])) as source, serving(Host(CONTENT)) as mirror:
        assert fetching.fetcher.fetch(weights(source.url, mirror.url)).verified
    assert len(mirror.requests) == 1


def test_the_mirror_goes_on_with_what_the_source_has_sent(fetching: Fetching) -> None:
    source = Host(CONTENT, stalls_after=[20_000, 0, 0, 0])
    with serving(source), serving(Host(CONTENT)) as mirror:
        assert fetching.fetcher.fetch(weights(source.url, mirror.url)).verified
    assert mirror.requests == [("/weights.bin", "bytes=20000-")]


def test_the_second_file_serves_when_the_first_is_nowhere(fetching: Fetching) -> None:
    with serving(Host(CONTENT, statuses=[404])) as nowhere, serving(Host(CONTENT)) as host:
        first, second = weights(nowhere.url), weights(host.url)
        file, fetched = fetching.fetcher.fetch_any([first, second])
    assert file is second
    assert fetched.verified


def test_a_host_that_is_not_there_says_how_to_do_without_it(fetching: Fetching) -> None:
    with serving(Host(CONTENT)) as host:
        gone = host.url
    with pytest.raises(ModelsError, match="MODELS_FROM"):
        fetching.fetcher.fetch(weights(gone))


def test_a_full_disk_ends_with_a_clear_error_and_nothing_kept(fetching: Fetching) -> None:
    # Writing to /dev/full fails as writing to a full disk does.
    (fetching.folder / "weights.bin.part").symlink_to("/dev/full")
    with serving(Host(CONTENT)) as host:
        with pytest.raises(ModelsError, match="no space left"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == []


def test_a_disk_without_room_is_noticed_before_the_download(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with serving(Host(CONTENT)) as host:
        with pytest.raises(ModelsError, match="MiB free"):
            fetching.fetcher.fetch(weights(host.url))
    assert fetching.left() == []


def test_proxies_are_honoured(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Host(CONTENT)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.delenv("no_proxy", raising=False)
        assert fetching.fetcher.fetch(weights("http://weights.invalid/w.bin")).verified
    assert proxy.requests == [("http://weights.invalid/w.bin", None)]


def test_a_folder_serves_without_the_internet(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(CONTENT)
    fetching = Fetching(tmp_path / "cache", source=tmp_path)
    fetched = fetching.fetcher.fetch(weights("http://weights.invalid/w.bin"))
    assert fetched.path == tmp_path / "weights.bin"
    assert fetched.verified
    assert not (tmp_path / "cache").exists(), "the file is used where it lies"


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    fetching = Fetching(tmp_path / "cache", source=tmp_path)
    with pytest.raises(ModelsError, match=f"{tmp_path} has no weights.bin"):
        fetching.fetcher.fetch_any([weights("http://weights.invalid/w.bin")])


def test_a_wrong_file_in_the_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"something else")
    fetching = Fetching(tmp_path / "cache", source=tmp_path)
    with pytest.raises(ModelsError, match=r"has 14 bytes instead of 300000.*MODELS_UNVERIFIED"):
        fetching.fetcher.fetch(weights("http://weights.invalid/w.bin"))
    assert (tmp_path / "weights.bin").read_bytes() == b"something else"


def test_a_wrong_file_is_taken_when_told_to_and_that_is_loud(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"something else")
    fetching = Fetching(tmp_path / "cache", source=tmp_path, unverified=True)
    assert not fetching.fetcher.fetch(weights("http://weights.invalid/w.bin")).verified
    assert "NOT THE PUBLISHED FILE" in "\n".join(fetching.said)

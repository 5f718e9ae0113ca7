"""Where images lie, on all three systems."""

from __future__ import annotations

import string
from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.bridge.projects.images import candidates, find_image
from qpgaze.bridge.projects.uris import (
    parse_uri,
    relative_place,
    same_place,
    share_host,
    uri_from_path,
)
from qpgaze.errors import ProjectError, SlideError

W, P = PureWindowsPath, PurePosixPath


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:/C:/slides/a.svs", W("C:/slides/a.svs")),
        ("file:///C:/My%20slides/a%20b.svs", W("C:/My slides/a b.svs")),
        ("file://localhost/C:/a.svs", W("C:/a.svs")),
        ("file://C:/a.svs", W("C:/a.svs")),
        ("file:///d:/Pr%C3%A4parate/%5B1%5D.svs", W("d:/Präparate/[1].svs")),
        ("file:/slides/Präparat.svs", P("/slides/Präparat.svs")),
        ("file:///slides/a%23b.svs", P("/slides/a#b.svs")),
        ("file:/slides/a.svs?series=0#x", P("/slides/a.svs")),
        ("file:/Volumes/Macintosh%20HD/a.svs", P("/Volumes/Macintosh HD/a.svs")),
        ("file://nas/share/a.svs", W("//nas/share/a.svs")),
        ("file:////nas/share/a.svs", W("//nas/share/a.svs")),
        ("C:\\slides\\a.svs", W("C:/slides/a.svs")),
        ("\\\\nas\\share\\a.svs", W("//nas/share/a.svs")),
        ("/slides/a.svs", P("/slides/a.svs")),
    ],
)
def test_uris_are_read(uri: str, path: PurePath) -> None:
    found = parse_uri(uri)
    assert found.path == path
    assert type(found.path) is type(path)
    assert found.host == ("nas" if "nas" in uri else "")


@pytest.mark.parametrize("uri", ["", "  ", "slides/a.svs", "file:a.svs", "file:/a%00b.svs"])
def test_what_names_no_place_is_refused(uri: str) -> None:
    with pytest.raises(ProjectError):
        parse_uri(uri)


def test_other_schemes_have_no_path() -> None:
    found = parse_uri("https://someone@Example.org/a.svs")
    assert (found.scheme, found.host, found.is_file) == ("https", "example.org", False)


names = st.text(
    alphabet=st.characters(blacklist_characters='/\\:*?"<>|\0', blacklist_categories=("Cs", "Cc")),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip(". ") == text)


@given(st.lists(names, min_size=1, max_size=4), st.sampled_from(string.ascii_letters))
def test_windows_paths_survive(parts: list[str], drive: str) -> None:
    path = W(f"{drive}:/", *parts)
    uri = uri_from_path(path)
    assert uri.isascii()
    assert parse_uri(uri).path == path


@given(st.lists(names, min_size=1, max_size=4))
def test_posix_paths_survive(parts: list[str]) -> None:
    path = P("/data", *parts)
    uri = uri_from_path(path)
    assert uri.isascii()
    assert parse_uri(uri).path == path


@given(st.lists(names, min_size=1, max_size=4))
def test_shares_survive(parts: list[str]) -> None:
    path = W("//nas-1/share", *parts)
    assert parse_uri(uri_from_path(path)).path == path
    assert share_host(path) == "nas-1"


def test_relative_paths_have_no_uri() -> None:
    with pytest.raises(ProjectError, match="full path"):
        uri_from_path(P("a/b.svs"))


def test_the_same_place_in_other_words() -> None:
    assert same_place("file:/C:/a%20b.svs", "file:///c:/A b.svs")
    assert same_place("file://NAS/s/a.svs", "file:////nas/S/a.svs")
    assert not same_place("file:/a.svs", "file:/A.svs")
    assert not same_place("file:/a.svs", "http://x/a.svs")
    assert same_place("not a uri", "not a uri")


def test_images_move_with_their_project() -> None:
    assert relative_place(P("/s/qp/slides/a.svs"), P("/s/qp/project.qpproj")) == ("slides", "a.svs")
    assert relative_place(P("/s/x/a.svs"), P("/s/qp/project.qpproj")) == ("..", "x", "a.svs")
    assert relative_place(P("/slides/a.svs"), P("/projects/p/project.qpproj")) is None
    assert relative_place(W("D:/s/a.svs"), W("C:/s/project.qpproj")) is None
    assert relative_place(P("/s/../../etc/x"), P("/s/project.qpproj")) is None
    assert relative_place(W("C:/s/a.svs"), P("/s/project.qpproj")) is None


def places(uri: str, project: str, old: str | None, native: type[PurePath]) -> list[str]:
    found = candidates(parse_uri(uri), project_file=native(project), project_uri=old, native=native)
    return [str(PurePosixPath(p).as_posix()) if native is P else str(p) for p in found]


def test_where_a_slide_is_looked_for() -> None:
    old = "file:/D:/study/qupath/project.qpproj"
    image = "file:/D:/study/slides/a.svs"
    assert places(image, "/mnt/study/qupath/project.qpproj", old, P) == ["/mnt/study/slides/a.svs"]
    assert places(image, "/mnt/p/project.qpproj", None, P) == []
    assert places("file:/s/a.svs", "/p/project.qpproj", None, P) == ["/s/a.svs"]
    assert places(image, "E:/x/qupath/project.qpproj", old, W) == [
        "D:\\study\\slides\\a.svs",
        "E:\\x\\slides\\a.svs",
    ]
    # More steps up than there are folders: nowhere to look.
    deep = "file:/a/b/c/d/e/project.qpproj"
    assert places("file:/a/b/x.svs", "/p/project.qpproj", deep, P) == ["/a/b/x.svs"]


def test_shares_of_other_computers_are_not_opened() -> None:
    with pytest.raises(SlideError, match="another computer"):
        places("file://evil/share/a.svs", "C:/p/project.qpproj", None, W)
    with pytest.raises(SlideError, match="another computer"):
        places("file://evil/share/a.svs", "/p/project.qpproj", None, P)
    own = places("file://Nas/share/a.svs", "//nas/share/p/project.qpproj", None, W)
    assert own == ["\\\\Nas\\share\\a.svs"]


def find(builder: dict[str, object], uris: tuple[str, ...]) -> object:
    return find_image(
        builder, uris, name="x", project_file=P("/p/project.qpproj"), project_uri=None
    )


def test_servers_and_made_images_are_refused() -> None:
    plain = {"builderType": "uri"}
    with pytest.raises(SlideError, match=r"server \(https://example.org\)"):
        find(plain, ("https://example.org/a.svs",))
    with pytest.raises(SlideError, match="rotated"):
        find({"builderType": "rotated"}, ("file:/a.svs",))
    with pytest.raises(SlideError, match="not one plain file"):
        find(plain, ("file:/a.svs", "file:/b.svs"))
    with pytest.raises(SlideError, match="number 2 within"):
        find({"builderType": "uri", "args": ["--series", "2"]}, ("file:/a.svs",))
    with pytest.raises(SlideError, match=r"Looked for: .*nowhere"):
        find(plain, ("file:/nowhere/a.svs",))
    with pytest.raises(SlideError, match="full path"):
        find(plain, ("a.svs",))

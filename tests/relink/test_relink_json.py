"""A project file is changed in its places only, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.bridge.projects.relink_json import replace_uris
from qpgaze.errors import ProjectError

HERE = Path("project.qpproj")

inside = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=4), items),
    max_leaves=5,
)


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    images = []
    for number in range(draw(st.integers(0, 3))):
        builder: dict[str, Any] = {"builderType": "uri", "uri": f"file:/old/{number} ä.svs"}
        if draw(st.booleans()):
            builder["metadata"] = {"uri": "file:/old/0 ä.svs", "x": draw(inside)}
        if draw(st.booleans()):
            builder = {"rotation": draw(inside), "builders": [{"builder": builder}, 3]}
        image = {"x": draw(inside), "serverBuilder": builder, "entryID": number + 1}
        images.append({**image, "description": draw(st.text(max_size=9))})
    return {"version": "0.5.1", "uri": "file:/p", "lastID": 3, "y": draw(inside), "images": images}


@given(projects(), st.sampled_from([None, 2, "\t"]), st.booleans(), st.booleans())
def test_only_uris_change(raw: dict[str, Any], indent: Any, ascii_only: bool, mark: bool) -> None:
    text = json.dumps(raw, indent=indent, ensure_ascii=ascii_only)
    content = (b"\xef\xbb\xbf" if mark else b"") + text.encode("utf-8", "replace")
    changes = {
        number: {f"file:/old/{number} ä.svs": f"file:/new/{number}.svs"}
        for number in range(len(raw["images"]))
    }
    changed = replace_uris(content, HERE, changes, None)
    for number in changes:
        old = json.dumps(f"file:/old/{number} ä.svs", ensure_ascii=ascii_only).encode()
        # The one under "metadata" stays: it is no place that QuPath reads from.
        kept = changed.count(old)
        assert changed.count(f'"file:/new/{number}.svs"'.encode()) == content.count(old) - kept
        changed = changed.replace(f'"file:/new/{number}.svs"'.encode(), old)
    assert changed == content


def test_the_projects_own_place() -> None:
    content = b'{"lastID":1, "uri" : "file:/old", "images":[{"entryID":1,"uri":"file:/old"}]}'
    changed = replace_uris(content, HERE, {}, "file:/new")
    assert changed == content.replace(b'"uri" : "file:/old"', b'"uri" : "file:/new"')


def test_what_is_no_project_is_refused() -> None:
    with pytest.raises(ProjectError):
        replace_uris(b'{"images": [1]}', HERE, {}, None)

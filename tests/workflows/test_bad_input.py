"""Bad input: words that a person can act on, exit status 2, and nothing changed on disk.

The fixture `refused` compares the whole tree before and after, and looks for tracebacks.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import shapely

from qpgaze.bridge import open_project
from qpgaze.resources import sample_dir
from qpgaze.samples import GAZE_DTYPE


def data_file(project: Path) -> Path:
    return next(project.glob("data/*/data.qpdata"))


def reopen(session: Path) -> Path:
    """Make a session one that was not closed, so that its files may be of any size."""
    (session / "manifest.json").unlink(missing_ok=True)
    return session


def edit_header(session: Path, **changes: object) -> None:
    file = session / "session.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**raw, **changes}), encoding="utf-8")


@pytest.fixture
def annotated(small, cli):
    assert cli("annotate", small.session, small.project).status == 0
    return small


# -- sessions --------------------------------------------------------------------------------------


def test_a_cut_gaze_file_of_a_closed_session(small, refused) -> None:
    gaze = small.session / "gaze.bin"
    gaze.write_bytes(gaze.read_bytes()[:-37])
    assert refused("annotate", small.session, small.project, mentions=["gaze.bin", "bytes"])


def test_a_cut_gaze_file_of_a_session_that_was_cut_loses_its_last_record_only(small, cli) -> None:
    gaze = reopen(small.session) / "gaze.bin"
    gaze.write_bytes(gaze.read_bytes()[:-37])
    said = cli("annotate", small.session, small.project)
    assert said.status == 0
    assert "incomplete" in said.out
    assert "479 " not in said.err


def test_a_foreign_gaze_file(small, refused) -> None:
    rng = np.random.default_rng(3)
    (reopen(small.session) / "gaze.bin").write_bytes(rng.bytes(GAZE_DTYPE.itemsize * 300))
    assert refused("annotate", small.session, small.project, mentions=["gaze.bin"])


def test_a_session_without_its_gaze_file(small, refused) -> None:
    (reopen(small.session) / "gaze.bin").unlink()
    assert refused("annotate", small.session, small.project, mentions=["gaze.bin"])


def test_gaze_records_that_lack_columns(small, refused) -> None:
    raw = json.loads((reopen(small.session) / "session.json").read_text(encoding="utf-8"))
    name = next(key for key, value in raw.items() if _is_columns(value))
    kept = [c for c in raw[name] if c["name"] not in ("left_y_adcs", "right_gaze_valid")]
    edit_header(small.session, **{name: kept})
    assert refused(
        "annotate", small.session, small.project, mentions=["left_y_adcs", "right_gaze_valid"]
    )


def _is_columns(value: object) -> bool:
    return isinstance(value, list) and bool(value) and "dtype" in value[0]


def test_time_running_backwards(small, writing, refused) -> None:
    gaze = writing.gaze()
    gaze["t_us"][100:] -= 500_000
    session = writing.session(
        small.folder / "back.qpgaze", states=writing.states(small.picture), gaze=gaze
    )
    assert refused("annotate", session, small.project, mentions=["backwards"])


def test_a_viewer_log_of_another_time(small, writing, refused) -> None:
    states = [replace(s, t_us=s.t_us + 3_600_000_000) for s in writing.states(small.picture)]
    session = writing.session(small.folder / "late.qpgaze", states=states, gaze=writing.gaze())
    assert refused("annotate", session, small.project)


def test_a_session_without_a_viewer_log(small, refused) -> None:
    (reopen(small.session) / "viewer.jsonl").write_bytes(b"")
    assert refused("annotate", small.session, small.project, mentions=["viewer"])


def test_a_line_of_the_viewer_log_that_is_damaged(small, refused) -> None:
    log = reopen(small.session) / "viewer.jsonl"
    log.write_bytes(b'{"t_us": \n' + log.read_bytes())
    assert refused("annotate", small.session, small.project, mentions=["viewer.jsonl", "line 1"])


def test_gaze_in_pixels(small, writing, refused) -> None:
    gaze = writing.gaze()
    for eye in ("left", "right"):
        gaze[f"{eye}_x_adcs"] *= 1920
        gaze[f"{eye}_y_adcs"] *= 1080
    session = writing.session(
        small.folder / "px.qpgaze", states=writing.states(small.picture), gaze=gaze
    )
    assert refused("annotate", session, small.project, mentions=["pixels", "0..1"])


def test_gaze_that_lies_beside_every_viewer_is_counted_by_reason(small, writing, refused) -> None:
    gaze = writing.gaze()
    for eye in ("left", "right"):
        gaze[f"{eye}_x_adcs"] = 0.01
    gaze["left_gaze_valid"][:60] = gaze["right_gaze_valid"][:60] = 0
    session = writing.session(
        small.folder / "off.qpgaze", states=writing.states(small.picture), gaze=gaze
    )
    assert refused(
        "annotate", session, small.project, mentions=["480", "420 beside the viewer", "60 without"]
    )


def test_a_session_for_an_image_that_the_project_lacks(small, writing, refused) -> None:
    session = writing.session(
        small.folder / "other.qpgaze",
        states=writing.states(Path("other.svs")),
        gaze=writing.gaze(),
        events=writing.events(),
    )
    assert refused(
        "annotate", session, small.project, mentions=["other.svs", "slide 1.png", "--image"]
    )


def test_a_session_for_an_image_of_the_same_name_and_another_size(small, writing, refused) -> None:
    session = writing.session(
        small.folder / "other.qpgaze",
        states=writing.states(small.picture, width=2400, height=1800),
        gaze=writing.gaze(),
        events=writing.events(),
    )
    assert refused(
        "annotate", session, small.project, mentions=["another image", "2400 x 1800", "1200 x 900"]
    )


def test_an_image_that_is_not_in_the_project(small, refused) -> None:
    for image in ("7", "slide 2.png"):
        assert refused("annotate", small.session, small.project, "--image", image, mentions=[image])
        assert refused("refine", small.project, "--image", image, mentions=[image])


def test_an_empty_session(small, writing, refused) -> None:
    session = writing.session(
        small.folder / "empty.qpgaze",
        states=writing.states(small.picture),
        gaze=writing.gaze()[:0],
        events=writing.events(),
    )
    assert refused("annotate", session, small.project, mentions=["no gaze"])


def test_labels_without_gaze_are_no_silent_nothing(small, writing, refused) -> None:
    from qpgaze.model import Event

    session = writing.session(
        small.folder / "late.qpgaze",
        states=writing.states(small.picture),
        gaze=writing.gaze(),
        events=[Event(60_000_000, "label", {"event": "mark", "class": "Pearl"})],
    )
    assert refused("annotate", session, small.project, mentions=["Pearl", "60.0 s", "--fixations"])


def test_some_labels_without_gaze_are_named_beside_the_others(small, writing, cli) -> None:
    from qpgaze.model import Event

    lost = Event(60_000_000, "label", {"event": "mark", "class": "Lost"})
    session = writing.session(
        small.folder / "late.qpgaze",
        states=writing.states(small.picture),
        gaze=writing.gaze(),
        events=[*writing.events(), lost],
    )
    said = cli("annotate", session, small.project)
    assert said.status == 0
    assert "Lost, at 60.0 s" in " ".join(said.out.split())


def test_labels_that_were_all_taken_back_are_fine_and_said(small, writing, cli) -> None:
    from qpgaze.model import Event

    events = [
        Event(900_000, "label", {"event": "mark", "class": "Pearl"}),
        Event(950_000, "label", {"event": "undo"}),
    ]
    session = writing.session(
        small.folder / "undone.qpgaze",
        states=writing.states(small.picture),
        gaze=writing.gaze(),
        events=events,
    )
    said = cli("annotate", session, small.project)
    assert said.status == 0
    assert "taken back" in said.out


def test_no_labels_and_no_fixations_wanted(small, refused) -> None:
    (reopen(small.session) / "events.jsonl").write_bytes(b"")
    assert refused(
        "annotate", small.session, small.project, "--no-fixations", mentions=["--no-fixations"]
    )


def test_a_session_that_is_a_file_or_not_there_or_something_else(small, refused) -> None:
    assert refused("annotate", small.session / "gaze.bin", small.project, mentions=["folder"])
    assert refused(
        "annotate", small.folder / "nothing.qpgaze", small.project, mentions=["nothing.qpgaze"]
    )
    assert refused("annotate", small.project, small.project, mentions=["session.json"])


def test_a_session_of_a_later_format(small, refused) -> None:
    edit_header(reopen(small.session), format=2)
    assert refused("annotate", small.session, small.project, mentions=["2"])


def test_a_session_whose_header_is_no_json(small, refused) -> None:
    (reopen(small.session) / "session.json").write_bytes(b"\x89PNG")
    assert refused("annotate", small.session, small.project, mentions=["session.json"])


# -- tables ----------------------------------------------------------------------------------------

TABLE = "Time;X;Y\n0;0.5;0.5\n10;0.5;0.5\n20;0.4;0.5\n30;0.4;0.5\n"
COLUMNS = ["--column", "t=Time", "--column", "x=X", "--column", "y=Y", "--unit", "ms"]
COLUMNS += ["--screen-mm", "527x297"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace("X", "Z"), ["X"]),
        (TABLE.replace("\n20;", "\n5;"), ["backwards"]),
        (TABLE.replace(";0.5\n", ";512\n"), ["0..1", "--frame"]),
        ("Time;X;Y\n", ["row"]),
        ("", ["empty"]),
        (TABLE.replace("0.4", "half"), ["half"]),
    ],
    ids=["column missing", "backwards", "unit", "no rows", "empty", "no number"],
)
def test_a_table_that_is_wrong(table, words, small, tools, refused) -> None:
    file = small.folder / "table.csv"
    file.write_text(table, encoding="utf-8")
    image = tools.image_of(small.picture, 1200, 900)
    log = tools.write_lines(
        small.folder / "log.jsonl",
        [tools.view(0, image, centre=(600, 450), downsample=1.0)],
    )
    target = small.folder / "new.qpgaze"
    assert refused("import", file, target, "--viewer", log, *COLUMNS, mentions=words)


def test_a_viewer_log_that_does_not_cover_the_table(small, tools, refused) -> None:
    file = small.folder / "table.csv"
    file.write_text(TABLE, encoding="utf-8")
    image = tools.image_of(small.picture, 1200, 900)
    log = tools.write_lines(
        small.folder / "log.jsonl",
        [tools.view(9_000_000, image, centre=(600, 450), downsample=1.0)],
    )
    target = small.folder / "new.qpgaze"
    assert refused("import", file, target, "--viewer", log, *COLUMNS, mentions=["--offset-ms"])


# -- projects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda old: old[: len(old) // 2],
        lambda old: old[:-3],
        lambda old: b"",
        lambda old: b"not what QuPath writes",
        lambda old: old.replace(b"qupath", b"quxath"),
    ],
    ids=["cut in the middle", "cut at the end", "empty", "foreign", "other classes"],
)
def test_an_image_s_data_that_is_damaged(damage, annotated, refused) -> None:
    file = data_file(annotated.project)
    file.write_bytes(damage(file.read_bytes()))
    for words in (
        ("annotate", annotated.session, annotated.project),
        ("refine", annotated.project),
        ("export", "coco", annotated.project, annotated.folder / "coco"),
    ):
        # Not left to chance: QuPath itself never comes back from some of these.
        assert refused(*words, "--backend", "embedded", mentions=["data.qpdata"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda old: old[: len(old) // 2],
        lambda old: b"",
        lambda old: b"<project/>",
        lambda old: b"[1, 2]",
        lambda old: b'{"version": "0.5.1", "images": 7}',
    ],
    ids=["cut", "empty", "not JSON", "a list", "odd images"],
)
def test_a_project_file_that_is_damaged(damage, annotated, refused) -> None:
    file = annotated.project / "project.qpproj"
    file.write_bytes(damage(file.read_bytes()))
    for words in (
        ("annotate", annotated.session, annotated.project),
        ("refine", annotated.project),
        ("export", "coco", annotated.project, annotated.folder / "coco"),
        ("project", "show", annotated.project),
    ):
        assert refused(*words, mentions=["project.qpproj"])


def test_a_project_that_is_none(annotated, refused, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "nowhere", annotated.picture):
        for words in (
            ("annotate", annotated.session, place),
            ("refine", place),
            ("export", "coco", place, tmp_path / "coco"),
        ):
            assert refused(*words, mentions=[place.name])


def test_two_project_files_in_one_folder(annotated, refused) -> None:
    """Where none bears the name that QuPath itself gives and looks for."""
    file = annotated.project / "project.qpproj"
    shutil.copyfile(file, file.with_name("copy.qpproj"))
    file.rename(file.with_name("mine.qpproj"))
    for words in (
        ("annotate", annotated.session, annotated.project),
        ("refine", annotated.project),
        ("export", "coco", annotated.project, annotated.folder / "coco"),
    ):
        assert refused(*words, mentions=["copy.qpproj", "mine.qpproj"])


def test_the_project_may_be_named_by_its_file(annotated, cli) -> None:
    file = annotated.project / "project.qpproj"
    assert cli("annotate", annotated.session, file).status == 0


def test_two_images_of_one_name(small, cli, refused) -> None:
    other = small.folder / "b" / small.picture.name
    other.parent.mkdir()
    shutil.copyfile(small.picture, other)
    assert cli("project", "add", small.project, other).status == 0
    message = refused("annotate", small.session, small.project, mentions=["1, 2", "--image"])
    assert "slide 1.png" in message
    assert cli("annotate", small.session, small.project, "--image", "2").status == 0


def test_a_project_without_images(small, cli, refused, tmp_path) -> None:
    empty = tmp_path / "new"
    assert cli("project", "create", empty).status == 0
    assert refused("annotate", small.session, empty, mentions=["slide 1.png", "project add"])
    assert refused("refine", empty, mentions=["no images", "project add"])
    assert refused("export", "coco", empty, tmp_path / "coco", mentions=["image"])


def test_nothing_to_export_is_an_error(small, cli, refused) -> None:
    assert refused("export", "coco", small.project, small.folder / "coco")
    assert cli("annotate", small.session, small.project, "--fixations").status == 0
    with open_project(small.project, mode="r+", backend="embedded") as opened:
        entry = opened.entries[0]
        entry.remove([o.id for o in entry.objects() if o.class_name != "Gaze: Fixation"])
        opened.commit()
    assert refused("export", "coco", small.project, small.folder / "coco")


def test_a_slide_that_is_not_there(annotated, refused) -> None:
    annotated.picture.unlink()
    assert refused("refine", annotated.project, mentions=["slide 1.png"])
    assert refused(
        "export", "coco", annotated.project, annotated.folder / "coco", mentions=["slide 1.png"]
    )


def test_a_method_that_is_unknown(annotated, refused) -> None:
    assert refused(
        "refine", annotated.project, "--method", "magic", mentions=["magic", "mariam2022"]
    )


def test_a_backend_that_is_unknown(annotated, refused) -> None:
    assert refused(
        "refine", annotated.project, "--backend", "magic", mentions=["magic", "embedded"]
    )


# -- the disk and Ctrl-C ---------------------------------------------------------------------------


def failing(kind: str) -> OSError:
    code = {"full": errno.ENOSPC, "read-only": errno.EROFS, "denied": errno.EACCES}[kind]
    return OSError(code, os.strerror(code), "data.qpdata")


@pytest.fixture
def broken_writes(monkeypatch):
    """Return what makes the n-th durable write of a commit (or move into place) fail."""
    from qpgaze.bridge.projects import files

    monkeypatch.setattr(files, "RETRY_AFTER_S", ())

    def break_(function: str, number: int, error: BaseException) -> None:
        true, calls = getattr(files, function), iter(range(10_000))

        def fail(*words: object) -> object:
            if next(calls) == number:
                raise error
            return true(*words)

        monkeypatch.setattr(files, function, fail)

    return break_


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("function", ["write_durably", "replace_patiently"])
@pytest.mark.parametrize("kind", ["full", "read-only", "denied"])
def test_a_disk_that_refuses(kind, function, number, small, refused, broken_writes) -> None:
    broken_writes(function, number, failing(kind))
    word = {"full": "full", "read-only": "read-only", "denied": "read-only"}[kind]
    assert refused("annotate", small.session, small.project, mentions=[word])


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_refuses_refine(kind, annotated, refused, broken_writes) -> None:
    broken_writes("replace_patiently", 1, failing(kind))
    assert refused("refine", annotated.project)


@pytest.mark.parametrize("verb", ["annotate", "refine"])
@pytest.mark.parametrize("function", ["write_durably", "replace_patiently"])
def test_ctrl_c_while_writing(verb, function, small, cli, contents, broken_writes) -> None:
    words = ["annotate", small.session, small.project]
    if verb == "refine":
        assert cli(*words).status == 0
        words = ["refine", small.project]
    before = contents(small.folder)
    broken_writes(function, 1, KeyboardInterrupt())
    said = cli(*words)
    assert said.status == 130
    assert "stopped" in said.err
    assert contents(small.folder) == before


def test_ctrl_c_while_refining(annotated, cli, contents, monkeypatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = contents(annotated.folder)
    monkeypatch.setattr("qpgaze.workflows.refine.refine_labels", stop)
    assert cli("refine", annotated.project).status == 130
    assert contents(annotated.folder) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_an_export_that_is_stopped_leaves_nothing(
    error, annotated, cli, contents, monkeypatch
) -> None:
    from qpgaze.slides.plain_slide import PlainSlide

    true, calls = PlainSlide.read, iter(range(10_000))

    def stop(*words: object, **more: object) -> object:
        if next(calls) == 2:
            raise error
        return true(*words, **more)

    before = contents(annotated.folder)
    monkeypatch.setattr(PlainSlide, "read", stop)
    said = cli("export", "coco", annotated.project, annotated.folder / "coco", "--tile-size", "64")
    assert said.status == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert "Traceback" not in said.err
    assert contents(annotated.folder) == before


def test_the_ledger_that_cannot_be_written_costs_no_object(
    small, cli, monkeypatch, contents
) -> None:
    """The objects are in the project by then; they are known again the next time."""
    from qpgaze.bridge import ledger

    def full(*_: object, **__: object) -> None:
        raise failing("full")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_append", full)
        said = cli("annotate", small.session, small.project)
    assert said.status == 2
    assert "ledger" in said.err
    again = json.loads(cli("annotate", small.session, small.project, "--json").out)
    assert (again["images"][0]["added"], again["images"][0]["there"]) == (0, 2)


def test_a_project_that_another_program_is_writing(small, refused, monkeypatch) -> None:
    from qpgaze.bridge.projects.lock import writer_lock

    waiting = writer_lock.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    monkeypatch.setitem(waiting, "wait_s", 0.0)
    lock = small.project / "qpgaze" / "lock"
    lock.write_text('{"version": 1, "host": "ward-3", "user": "jd", "pid": 7, "since_utc": "?"}')
    assert refused("annotate", small.session, small.project, mentions=["jd on ward-3"])


@pytest.mark.parametrize("what", ["adds an object", "reshapes ours"])
def test_what_a_person_saves_while_we_refine_is_kept(what, annotated, cli, monkeypatch) -> None:
    from qpgaze.workflows import refine

    true = refine.refine_labels
    with open_project(annotated.project, backend="embedded") as opened:
        ours = opened.entries[0].objects()[0]
    moved = replace(ours, geometry=shapely.affinity.translate(ours.geometry, 25, 10))
    drawn = replace(ours, id=UUID(int=9), metadata={}, name="drawn", class_name=None)

    def meanwhile(*words: object, **more: object) -> object:
        with open_project(annotated.project, mode="r+", backend="embedded") as opened:
            if what == "reshapes ours":
                opened.entries[0].replace([moved])
            else:
                opened.entries[0].add([drawn])
            opened.commit()
        return true(*words, **more)

    with monkeypatch.context() as patched:
        patched.setattr(refine, "refine_labels", meanwhile)
        said = cli("refine", annotated.project)
    assert said.status in (0, 2)
    assert said.status == 0 or "Traceback" not in said.err
    with open_project(annotated.project, backend="embedded") as opened:
        now = {o.id: o for o in opened.entries[0].objects()}
    if what == "reshapes ours":
        assert now[ours.id].geometry.equals_exact(moved.geometry, 0.01)
    else:
        assert now[drawn.id].geometry.equals_exact(drawn.geometry, 0.01)
    report = json.loads(cli("refine", annotated.project, "--json").out)
    assert report["images"][0]["reviewed"] == (what == "reshapes ours")


def test_a_cut_slide_is_said_in_one_sentence(small) -> None:
    slide = small.project.parent / "cut.svs"
    whole = sample_dir() / "slides" / "patient-a.svs"
    slide.write_bytes(whole.read_bytes()[:700_000])
    code = "import sys; from qpgaze.cli.app import run; sys.exit(run(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "project", "add", str(small.project), str(slide)]
    # A process of its own: what a library logs reaches stderr only without pytest's handlers.
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("qpgaze: ")
    assert "is cut" in done.stderr

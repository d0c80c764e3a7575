import io
import json
import sys

import pytest
from rich.console import Console

from crowd_sim.cli import status
from crowd_sim.cli.output import unfailing_output
from crowd_sim.cli.status import status_lines
from crowd_sim.commands import progress
from crowd_sim.commands.progress import shown
from crowd_sim.store.checkpoint import Checkpoint
from crowd_sim.store.run_log import RunLog
from tests.bad_input.command import call, check_line


def test_plain_lines_elsewhere_than_on_a_terminal_and_each_once(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    out = Console(file=io.StringIO())
    with shown(out) as report:
        for done in (1, 1, 2, 2, 2):
            report("rounds", done, 2)
        report("games", 1, 1, "error about 0.1")
    assert out.file.getvalue().splitlines() == ["rounds: 1 of 2", "rounds: 2 of 2", "games: 1 of 1, error about 0.1"]


def test_a_bar_with_the_time_left_on_a_terminal():
    out = Console(file=io.StringIO(), force_terminal=True, width=80)
    with shown(out) as report:
        report("rounds", 3, 10)
    text = out.file.getvalue()
    assert "rounds" in text
    assert "10/10" in text


def test_a_stage_begins_with_a_line_and_ends_as_the_next_one_begins(monkeypatch):
    out = Console(file=io.StringIO())
    with shown(out) as report:
        report("start", 0, 0, "the crowd")
        report("start", 0, 0, "Ray")
        report("rounds", 0, 10)
        report("rounds", 3, 10)
        report("games", 1, 4)
    assert out.file.getvalue().splitlines() == ["start: the crowd", "start: Ray", "rounds: 0 of 10", "games: 1 of 4"]


def test_a_bar_ends_as_the_next_one_begins_and_not_where_the_work_failed(monkeypatch):
    made = []

    class Kept(progress.Bars):
        def __init__(self, *columns, **options):
            super().__init__(*columns, **options)
            made.append(self)

    monkeypatch.setattr(progress, "Bars", Kept)

    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with pytest.raises(ZeroDivisionError), shown(terminal) as report:
        _ = [report("start", 0, 0, "Ray"), report("rounds", 3, 10), report("games", 1, 4), 1 / 0]
    assert [task.finished for task in made[0].tasks] == [True, True, False]


def test_status_is_watched_until_nobody_is_at_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").touch()
    states = iter([True, True, False])
    monkeypatch.setattr(status, "is_at_work", lambda _: next(states))
    with RunLog(tmp_path, "print", 10) as record:
        looks = iter([("rounds", 1, 2), ("rounds", 1, 2)])

        def sleep(_):
            record.progress(*next(looks))
            record._write()

        monkeypatch.setattr(status.time, "sleep", sleep)
        assert call(["status", "--watch", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in told if line.startswith(("start", "rounds"))] == ["start", "rounds: 1 of 2"]
    assert call(["status", "--watch", str(tmp_path / "nowhere")]) == 2
    check_line(capsys.readouterr().err, ("nowhere", "must be a folder in which a run has been started"))


def test_status_tells_what_progress_had_to_say(tmp_path):
    (tmp_path / "config.yaml").touch()  # a folder without is one that was removed in the meantime
    with RunLog(tmp_path, "print", 10) as record:
        record.progress("games", 1, 2, "error about 0.1")
    assert list(status_lines(tmp_path))[1].startswith("games: 1 of 2, error about 0.1, ")


def test_the_last_line_of_the_log_has_the_round_that_was_kept_though_nobody_told_of_it(tmp_path):
    (tmp_path / "config.yaml").touch()  # a folder without is one that was removed in the meantime
    with RunLog(tmp_path, "print", 10) as record:
        record.progress("rounds", 86, 100)
        record.progress("games", 1, 2)
        record.save(Checkpoint(100, b"state"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line["round"]) for line in lines] == [("started", 0), ("finished", 100)]


def test_a_minus_that_a_stream_lacks_is_a_hyphen(monkeypatch):
    bytes_of = io.BytesIO()
    for encoding in ("ascii", "utf-8"):
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(bytes_of, encoding=encoding, errors="replace"))
        with unfailing_output() as output:
            print("a − b")
            output.flush()
        sys.stdout.detach()
    assert bytes_of.getvalue() == "a - b\na − b\n".encode()

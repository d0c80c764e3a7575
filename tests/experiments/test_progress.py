import io
import json

from rich.console import Console

from crowd_sim.cli.status import status_lines
from crowd_sim.commands import progress
from crowd_sim.commands.progress import shown
from crowd_sim.store.checkpoint import Checkpoint
from crowd_sim.store.run_log import RunLog


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

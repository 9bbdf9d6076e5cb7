"""`salepulse demo`: proof, last line and screen."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections import Counter
from pathlib import Path

from rich.console import Console

from streams.local.demo.frame import SELLING, DemoFrame, DemoIncident, DemoSnapshot, History
from streams.local.demo.proof import Proof
from streams.local.demo.sale import Sale
from streams.local.demo.screen import describe, render, sparkline
from streams.model.kpis import NAMES
from streams.store.progress import Totals
from tests.support.salepulse import Running, gone, salepulse

QUICK = ("--duration", "5", "--rate", "300", "--http-port", "0")
NOW_MS = 1_762_776_060_500


def test_every_event_is_counted_and_the_last_line_is_the_answer_of_the_api(tmp_path: Path) -> None:
    done = salepulse("demo", *QUICK, "--seed", "3", "--json", cwd=tmp_path, timeout_s=120)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    last = json.loads(line)
    assert {"as_of", "window", "scope", "values"} <= last.keys()
    assert (last["window"], last["scope"], list(last["values"])) == ("1h", "all", list(NAMES))
    assert last["values"]["page_views"] > 0
    counted = next(line for line in done.stderr.splitlines() if line.startswith("counted "))
    number = counted.split()[1]
    assert counted == f"counted {number} of {number} events, 0 lost, 0 doubled"
    assert "equal to the API's answer to the cent" in done.stderr
    assert done.stderr.startswith("page: http://127.0.0.1:")
    assert "/ · API: http://127.0.0.1:" in done.stderr
    assert "incident injected: " in done.stderr


def test_it_ignores_the_servers_of_the_settings_and_proves_its_count_after_ctrl_c(tmp_path: Path) -> None:
    production = {"SALEPULSE_BOOTSTRAP": "127.0.0.1:1", "SALEPULSE_REDIS_URL": "redis://127.0.0.1:1/0"}
    production |= {"SALEPULSE_HTTP_HOST": "0.0.0.0", "SALEPULSE_TOKENS_FILE": "/nowhere/tokens.json"}
    production |= {"SALEPULSE_HTTP_CERT_FILE": "/nowhere/serve.pem"}
    running = Running("demo", "--http-port", "0", "--rate", "200", cwd=tmp_path, env=production)
    running.until("events counted")
    family = running.family()
    assert running.stop(signal.SIGINT) == 0
    gone(family)
    assert ", 0 lost, 0 doubled" in running.stdout


def test_exact_counts_equal_the_truth_of_the_simulator() -> None:
    sale = Sale.beginning_now(seed=5, rate=500, duration_s=20)
    for batch in sale.season.batches(200):
        sale.counts.add(batch.messages)
    truths = [run.truth for run in sale.season.runs]
    assert len(truths) == 2
    events = sum((Counter(truth.events) for truth in truths), Counter())
    assert dict(sale.counts.events) == {name: count for name, count in events.items() if count}
    assert sale.counts.repeats == sum(sum(truth.repeats.values()) for truth in truths)
    assert sale.counts.gmv == sum(truth.gmv for truth in truths)


def test_lost_and_doubled_events_do_not_cancel_out() -> None:
    sale = Sale.beginning_now(seed=5, rate=100, duration_s=5)
    sale.counts.events.update({"page_view": 10, "search": 10})
    proof = Proof.of(sale.counts, Totals({"page_view": 9, "search": 11}, 0, 0), 0)
    assert (proof.sent, proof.counted, proof.lost, proof.doubled, proof.exact) == (20, 20, 1, 1, False)
    assert "counted 20 of 20 events, 1 lost, 1 doubled" in proof.lines("CNY", 2)


def frame(**changes: object) -> DemoFrame:
    """A frame with large numbers."""
    values = {name: 0.123 if name.endswith("_rate") else 234_567 for name in NAMES}
    channels = [(f"channel-{i}", values) for i in range(8)]
    skus = [(f"s-{i:05d}", values) for i in range(6)]
    snapshot = DemoSnapshot(NOW_MS - 500, dict.fromkeys(("1m", "5m", "15m"), values), channels, skus)
    history = History()
    for _ in range(130):
        history.see(snapshot, NOW_MS)
    whole = DemoFrame(
        phase=SELLING,
        url="http://127.0.0.1:65535",
        elapsed_s=60,
        duration_s=120,
        now_ms=NOW_MS,
        snapshot=snapshot,
        history=history,
        incident=DemoIncident(NOW_MS - 10_000, NOW_MS + 10_000, NOW_MS, 0.8, 0.3, 0.8),
        produced=123_456_789,
        counted=123_456_789,
        produced_rate=1000,
        counted_rate=1000,
        currency="CNY",
        currency_exponent=2,
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def drawn(shown: DemoFrame) -> list[str]:
    console = Console(width=100, height=36, force_terminal=False)
    with console.capture() as captured:
        console.print(render(shown))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_screen_fits_100_by_36_and_shows_all_panels() -> None:
    lines = drawn(frame())
    assert len(lines) <= 35
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for text_part in ("0.5 s ago", "http://127.0.0.1:65535", "GMV", "conversion rate", "funnel", "top SKUs", "Ctrl-C"):
        assert text_part in text
    assert "incident injected: at " in text
    assert "order rate of app 80 % before, 30 % now; other channels 80 %" in text
    assert "…" not in lines[0]


def test_an_ended_incident_is_shown_until_it_leaves_the_1m_window() -> None:
    def seen(ended_s: float) -> str:
        ends_ms = NOW_MS - round(ended_s * 1000)
        return DemoIncident(ends_ms - 24_000, ends_ms, NOW_MS, 0.8, 0.5, 0.8).lines()[1]

    assert seen(ended_s=48).endswith("other channels 80 %; leaves the 1m window in 12 s")
    assert seen(ended_s=-1).endswith("other channels 80 %")
    assert seen(ended_s=61).endswith("other channels 80 %")
    over = DemoIncident(NOW_MS - 30_000, NOW_MS - 10_000, NOW_MS, 0.8, 0.3, 0.8)
    lines = drawn(frame(incident=over))
    assert max(map(len, lines)) <= 100
    assert any("leaves the 1m window in 50 s" in line for line in lines), "the whole sentence has room"


def promotion(elapsed_fraction: float) -> dict[str, object]:
    """The API's answer about a promotion with a target."""
    target = {"tier": "base", "target": 1_000_000, "attainment": 0.1, "probability": 0.97}
    forecast = {"low": 900_000, "expected": 1_100_000, "high": 1_300_000}
    answer = {"state": "running", "phase": None, "next_phase": None, "values": {}, "forecast": forecast}
    return {**answer, "targets": [target], "elapsed_fraction": elapsed_fraction}


def test_there_is_no_forecast_while_it_rests_on_the_earlier_sale() -> None:
    def text(elapsed_fraction: float) -> str:
        whole = frame()
        assert whole.snapshot is not None
        snapshot = dataclasses.replace(whole.snapshot, promotion=promotion(elapsed_fraction))
        return "\n".join(drawn(frame(snapshot=snapshot)))

    assert "too early for a forecast" in text(0.1)
    assert "chance" not in text(0.1)
    assert ", 80 % interval " in text(0.3)
    assert "chance 97 %" in text(0.3)


def test_before_the_first_kpis_the_screen_shows_the_phase() -> None:
    assert any("waiting" in line for line in drawn(frame(snapshot=None, phase="waiting for the first KPIs")))


def test_numbers_that_are_not_live_are_marked() -> None:
    whole = frame()
    assert whole.snapshot is not None
    behind = dataclasses.replace(whole.snapshot, as_of_ms=NOW_MS - 1_889_000, live=False)
    note = "catching up, not live yet"
    head = drawn(frame(snapshot=behind))[0]
    assert (note in head, "…" in head) == (True, False)
    assert note in describe(frame(snapshot=behind))
    assert note not in drawn(whole)[0] + describe(whole)


def test_a_plain_line_summarizes_the_frame() -> None:
    assert "123,456,789 of 123,456,789 events counted" in describe(frame())


def test_a_sparkline_has_the_given_width_and_ends_with_the_newest_value() -> None:
    assert sparkline([]) == ""
    assert sparkline(range(100), 10) == "▁▂▃▃▄▅▆▇██"
    assert len(sparkline([1.0, 2.0], 10)) == 2

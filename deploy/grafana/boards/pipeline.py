"""The health of the pipeline: liveness, completeness, resource usage."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Board
from deploy.grafana.boards.age import age
from deploy.grafana.panels import GREEN, RED, Line, Panel, Panels, high_is_good, low_is_good
from deploy.grafana.queries import PROCESSES, SERVERS, of, of_processes, or_zero, process_rate, quantile, rate, top
from deploy.grafana.words import Text

UID = "salepulse-pipeline"
NO, YES = (Text("not live", "非实时"), RED), (Text("live", "实时"), GREEN)


def build(panels: Panels) -> Dashboard:
    """The dashboard."""
    board = Board(
        panels,
        UID,
        Text("pipeline", "链路健康"),
        Text(
            "Whether the numbers of the other dashboards are live, whole and right.",
            "其他看板的数字是否实时、完整、正确。",
        ),
    )
    board.first(*_tiles(panels))
    board.row(Text("Input", "流入"), *_incoming(panels))
    board.row(Text("Counting", "计数"), *_counting(panels))
    board.row(Text("Redis, memory and CPU", "Redis、内存与处理器"), *_resources(panels))
    board.row(Text("Servers and scrapes", "服务与抓取"), *_serving(panels))
    board.row(Text("Alerts and notifications", "告警与通知"), *_alerting(panels))
    return board.build()


def _tiles(panels: Panels) -> list[Panel]:
    lag = f"sum({top('topic, partition', of('partition_lag'))})"
    return [
        age(panels),
        panels.tile(
            Text("State", "状态"),
            Text(
                "Whether any server holds its numbers for the present; /readyz says why not.",
                "是否有服务认为其数字为当前;原因见 /readyz。",
            ),
            Line(top("", of("ready")), ""),
            "none",
            steps=high_is_good(1, 1),
            words={"0": NO, "1": YES},
        ),
        panels.tile(
            Text("Workers", "计数进程数"),
            Text("That Prometheus reaches.", "Prometheus 可抓取的进程。"),
            Line(f"count({of_processes('assigned_partitions')})", ""),
            "none",
            steps=high_is_good(1, 1),
        ),
        panels.tile(
            Text("Partitions without a worker", "无人处理的分区"),
            Text(
                "No word from their worker for longer than `stale_after_s`.",
                "超过 `stale_after_s` 没有处理进程的消息。",
            ),
            Line(top("", of("partitions_stale")), ""),
            "none",
            steps=low_is_good(1, 1),
        ),
        panels.tile(
            Text("Waiting records", "待计数消息"),
            Text("In Kafka, and not counted yet.", "已在 Kafka、尚未计数。"),
            Line(lag, ""),
            "short",
            steps=low_is_good(10_000, 100_000),
        ),
        panels.tile(
            Text("Incomplete partitions", "有缺失的分区"),
            Text("Records were lost before they were counted.", "消息在计数前丢失。"),
            Line(or_zero(f"count({top('topic, partition', of('incomplete_since_seconds'))})"), ""),
            "none",
            steps=low_is_good(1, 1),
        ),
    ]


def _incoming(panels: Panels) -> list[Panel]:
    refused = rate("rejected_total", by="topic, reason")
    return [
        panels.trend(
            Text("Events counted", "已计数事件"),
            Text("Per second, by topic.", "每秒,按主题。"),
            [Line(f"sum by (topic) ({rate('events_total', by='topic, type')})", "{{topic}}")],
            "cps",
            width=8,
        ),
        panels.trend(
            Text("Rejected messages", "被拒消息"),
            Text(
                "A second, by topic and reason; they are on the topic dead-letters.",
                "每秒,按主题与原因;存于 dead-letters 主题。",
            ),
            [Line(f"sum by (topic, reason) ({refused})", "{{topic}} {{reason}}")],
            "cps",
            width=8,
        ),
        panels.trend(
            Text("Repeats", "重复事件"),
            Text("Repeated events per second, which do not count again.", "每秒已见过而未再计数的事件。"),
            [Line(rate("duplicates_total", by="topic"), "{{topic}}")],
            "cps",
            width=8,
        ),
    ]


def _counting(panels: Panels) -> list[Panel]:
    taken = process_rate("batch_records_sum", by="topic")
    batches = process_rate("batch_records_count", by="topic")
    return [
        panels.trend(
            Text("Waiting records", "待计数消息"),
            Text("By topic and partition.", "按主题与分区。"),
            [Line(top("topic, partition", of("partition_lag")), "{{topic}}/{{partition}}")],
            "short",
        ),
        panels.trend(
            Text("Duration of a batch", "每批用时"),
            Text(
                "From its arrival to its being applied in Redis: 50 and 99 of 100.",
                "从到达到写入 Redis:中位数与第 99 百分位。",
            ),
            [
                Line(quantile(0.5, "batch_seconds", by="topic"), "{{topic}} p50"),
                Line(quantile(0.99, "batch_seconds", by="topic"), "{{topic}} p99"),
            ],
            "s",
        ),
        panels.trend(
            Text("Records in a batch", "每批消息数"),
            Text(
                "On average. Few: there is room; the most there can be: workers are behind.",
                "平均值。少则有余量,达到上限则跟不上。",
            ),
            [Line(f"{taken} / ({batches} > 0)", "{{topic}}")],
            "short",
            width=8,
        ),
        panels.trend(
            Text("Partitions of each worker", "各进程的分区"),
            Text("Number per worker.", "各进程分得的分区数。"),
            [Line(top("instance", of_processes("assigned_partitions")), "{{instance}}")],
            "none",
            width=8,
            stacked=True,
        ),
        panels.trend(
            Text("De-duplication horizon", "去重时间范围"),
            Text("Below the setting: the memory for ids is full.", "低于设置值时,去重内存已满。"),
            [Line(f"min by (topic) ({of_processes('dedup_horizon_seconds')} > 0)", "{{topic}}")],
            "s",
            width=8,
        ),
        panels.trend(
            Text("Rebalances, fenced batches, failures", "再均衡、拒写与失败"),
            Text(
                "A second: partitions that change hands; batches that Redis refused, as their partition stood "
                "elsewhere; batches that failed and are read again.",
                "每秒:分区易主;因分区位置不符被 Redis 拒绝的批次;失败并重读的批次。",
            ),
            [
                Line(process_rate("rebalances_total"), Text("rebalances", "再均衡")),
                Line(process_rate("batches_fenced_total"), Text("fenced", "被隔离")),
                Line(process_rate("batch_failures_total"), Text("failed", "失败")),
            ],
            "cps",
            width=24,
            height=6,
        ),
    ]


def _resources(panels: Panels) -> list[Panel]:
    return [
        panels.trend(
            Text("Duration of a Redis call", "Redis 调用用时"),
            Text("99th percentile, by call.", "第 99 百分位,按调用。"),
            [Line(quantile(0.99, "redis_call_seconds", by="call"), "{{call}}")],
            "s",
        ),
        panels.trend(
            Text("Failed Redis calls", "失败的 Redis 调用"),
            Text("Per second, by worker. They are retried.", "每秒,按进程;会重试。"),
            [Line(process_rate("redis_errors_total", by="instance"), "{{instance}}")],
            "cps",
        ),
        panels.trend(
            Text("Memory", "内存"),
            Text("Resident, of workers and servers.", "计数进程与服务的常驻内存。"),
            [
                Line(top("instance", of_processes("worker_process_resident_memory_bytes")), "{{instance}}"),
                Line(top("instance", of("serve_process_resident_memory_bytes")), "{{instance}}"),
            ],
            "bytes",
        ),
        panels.trend(
            Text("CPU", "处理器"),
            Text("Cores in use, of workers and servers. A worker can use one.", "占用核数;每个计数进程最多用一核。"),
            [
                Line(process_rate("worker_process_cpu_seconds_total", by="instance"), "{{instance}}"),
                Line(rate("serve_process_cpu_seconds_total", by="instance"), "{{instance}}"),
            ],
            "short",
        ),
    ]


def _serving(panels: Panels) -> list[Panel]:
    return [
        panels.trend(
            Text("Processes up", "可用进程"),
            Text("Targets of Prometheus that were scraped.", "Prometheus 抓取成功的目标。"),
            [Line(top("role, instance", f"up{{{PROCESSES}}}"), "{{role}} {{instance}}")],
            "none",
            width=6,
        ),
        panels.trend(
            Text("Duration of a scrape", "抓取用时"),
            Text("Times out after 4 s.", "超过 4 秒即放弃。"),
            [Line(top("instance", f"scrape_duration_seconds{{{SERVERS}}}"), "{{instance}}")],
            "s",
            width=6,
        ),
        panels.trend(
            Text("Series of a scrape", "抓取的序列数"),
            Text("Beyond 30,000 every scrape fails.", "超过 30,000 抓取即失败。"),
            [Line(top("instance", f"scrape_samples_scraped{{{SERVERS}}}"), "{{instance}}")],
            "short",
            width=6,
        ),
        panels.trend(
            Text("Dropped series", "未输出的序列"),
            Text(
                "KPI series that the budget leaves out, by scope; the API has them.",
                "超出序列预算的指标,按维度;API 中仍有。",
            ),
            [Line(top("scope", of("series_dropped")), "{{scope}}")],
            "short",
            width=6,
        ),
    ]


def _alerting(panels: Panels) -> list[Panel]:
    behind = f"{top('', of('as_of_seconds'))} - {top('', of_processes('alerts_as_of_seconds'))}"
    return [
        panels.tile(
            Text("Evaluating process", "规则评估者"),
            Text(
                "Processes of `salepulse alerts` that lead; there should be one.",
                "正在评估规则的 `salepulse alerts` 进程数,应为 1。",
            ),
            Line(f"sum({of_processes('alerts_leading')})", ""),
            "none",
            steps=high_is_good(1, 1),
        ),
        panels.tile(
            Text("Evaluation behind the numbers", "评估落后"),
            Text("From the last evaluation to the newest numbers.", "最近一次评估落后最新数字多久。"),
            Line(behind, ""),
            "s",
            steps=low_is_good(10, 60),
        ),
        panels.tile(
            Text("Waiting notices", "待发通知"),
            Text("Not delivered yet.", "应发而未送达。"),
            Line(or_zero(f"sum({top('receiver', of_processes('notifications_waiting'))})"), ""),
            "none",
            steps=low_is_good(1, 10),
        ),
        panels.trend(
            Text("Delivery attempts", "通知结果"),
            Text("Per second, by outcome.", "每秒尝试次数,按结果。"),
            [Line(process_rate("notification_attempts_total", by="receiver, outcome"), "{{receiver}} {{outcome}}")],
            "cps",
            width=12,
            height=5,
        ),
        panels.trend(
            Text("Duration of an evaluation", "评估用时"),
            Text("Of all rules, including the write; 99th percentile.", "全部规则连同写入,第 99 百分位。"),
            [Line(quantile(0.99, "alerts_evaluation_seconds"), "p99")],
            "s",
        ),
        panels.trend(
            Text("Alerts by notification status", "通知与否的原因"),
            Text("Grouped, silenced, acknowledged, unchanged and so on.", "分组、静默、已确认、未变化等。"),
            [Line(top("reason", of_processes("alerts_by_notification_status")), "{{reason}}")],
            "none",
        ),
        panels.trend(
            Text("Rules by condition", "规则状态"),
            Text(
                "Watching, learning, inhibited, without data or off; `salepulse alerts list --rules` says why.",
                "监视中、学习中、被抑制、无数据或停用;原因见 `salepulse alerts list --rules`。",
            ),
            [Line(top("state", of_processes("alert_rules")), "{{state}}")],
            "none",
            width=24,
            height=6,
            stacked=True,
        ),
    ]

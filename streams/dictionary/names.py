"""Names of dimensions that code refers to. A test proves that the built-in model has them."""

from __future__ import annotations

ALL = "all"
PROMOTION = "promotion"
CHANNEL = "channel"
REGION = "region"
CATEGORY = "category"
CAMPAIGN = "campaign"
LIVE_ROOM = "live_room"
VARIANT = "variant"
MEMBER = "member"
SKU = "sku"

RESERVED_DIMENSIONS = frozenset(
    {
        *("rule", "severity", "topic", "partition", "worker", "reason", "window", "scope", "value"),
        *("source", "carrier", "warehouse", "spread", "rest"),
    }
)
"""Labels of alerts and metrics, which no dimension of a shop's own may be named like."""

RESERVED_NUMBERS = frozenset(
    {
        "alert_rules", "alerts", "alerts_as_of_seconds", "alerts_by_notification_status",
        "alerts_clock_offset_seconds", "alerts_evaluation_failures", "alerts_evaluation_seconds",
        "alerts_heartbeats", "alerts_leading", "alerts_published_changes", "alerts_refused_writes",
        "as_of_age_seconds", "as_of_seconds", "assigned_partitions", "batch_failures", "batch_records",
        "batch_seconds", "batches_fenced", "build_info", "dedup_horizon_seconds", "dedup_ids",
        "dedup_promised_seconds", "duplicates", "events", "http_connections", "http_refused",
        "incomplete_since_seconds", "labels_dropped", "mapped", "negative_amounts", "not_live",
        "notification_attempts", "notification_delay_seconds", "notification_seconds", "notifications",
        "notifications_waiting", "partition_lag", "partition_position", "partition_stuck_seconds",
        "partitions_stale", "passed_over", "promotion_baseline", "promotion_elapsed_ratio", "promotion_ends_seconds",
        "promotion_expected_net_gmv", "promotion_phase", "promotion_starts_seconds", "promotion_target_net_gmv",
        "ready", "rebalances", "records_lost", "redis_call_seconds", "redis_errors", "redis_refusals",
        "redis_refuses_writes", "redis_up", "rejected", "series_dropped", "server_clock_offset_seconds",
        "source_clock_ahead_seconds", "target_probability", "topic_info", "topic_stopped",
        "worker_clock_offset_seconds", "worker_redis_refuses",
    }
)  # fmt: skip
"""Metrics of processes, without `salepulse_`: an own number is exposed under its name, too."""
METRIC_SUFFIXES = ("", "_total", "_created", "_bucket", "_count", "_sum")
PROCESS_PREFIXES = ("serve_process_", "worker_process_", "alerts_process_")
"""Of metrics of the operating system."""


def is_reserved(number: str) -> bool:
    """Whether a metric of a process has the name of a number."""
    families = (number.removesuffix(suffix) for suffix in METRIC_SUFFIXES if number.endswith(suffix))
    return number.startswith(PROCESS_PREFIXES) or any(family in RESERVED_NUMBERS for family in families)

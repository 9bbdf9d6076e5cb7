#!/usr/bin/env bash
# Grants each Kafka user of salepulse its minimal ACLs (docs/security.md), for a broker whose authorizer denies by default. Needs
# Kafka's kafka-acls.sh, which receives all arguments:
#
#   deploy/kafka/acls.sh --bootstrap-server kafka-1:9092 --command-config admin.properties
#
# For other names, set the environment variables of the settings `group`, `topic_prefix`, `topic_clicks` and so on:
# SALEPULSE_GROUP, SALEPULSE_TOPIC_PREFIX, ...
set -euo pipefail
connect=("$@")
group=${SALEPULSE_GROUP:-salepulse}
prefix=${SALEPULSE_TOPIC_PREFIX:-}
promotions=$prefix${SALEPULSE_TOPIC_PROMOTIONS:-promotions}
dead_letters=$prefix${SALEPULSE_TOPIC_DEAD_LETTERS:-dead-letters}
alerts=$prefix${SALEPULSE_TOPIC_ALERTS:-alerts}
events=()
for name in "${SALEPULSE_TOPIC_CLICKS:-clicks}" "${SALEPULSE_TOPIC_ORDERS:-orders}" \
  "${SALEPULSE_TOPIC_LOGISTICS:-logistics}"; do
  events+=(--topic "$prefix$name")
done

allow() { # USER WHAT...
  kafka-acls.sh "${connect[@]}" --add --allow-principal "User:$1" "${@:2}"
}

# Workers read events and promotions as one group, and write dead letters.
allow salepulse-worker --operation Read "${events[@]}" --topic "$promotions"
allow salepulse-worker --operation Write --topic "$dead_letters"
allow salepulse-worker --operation Read --group "$group"

# `salepulse alerts` checks that the topics exist, writes changes of alerts, and joins a consumer group on the topic `alerts`.
allow salepulse-alerts --operation Describe "${events[@]}" --topic "$promotions" --topic "$dead_letters"
allow salepulse-alerts --operation Read --operation Write --topic "$alerts"
allow salepulse-alerts --operation Read --group "$group-alerts"

# Administrators: topics create, doctor, promotions, dead-letters, replay. `serve` needs no Kafka.
allow salepulse-admin --operation Create --operation DescribeConfigs --operation AlterConfigs --operation Read \
  --operation Write "${events[@]}" --topic "$promotions" --topic "$dead_letters" --topic "$alerts"

# The shop, which sends events.
allow salepulse-shop --operation Write "${events[@]}"

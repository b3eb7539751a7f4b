#!/bin/sh
# A backup at the start and each day at BACKUP_AT (UTC), kept for BACKUP_KEEP_DAYS, each restored once to be checked.
# What fails is tried again ten minutes later: before the first migration there is nothing to back up.
set -eu

next() { # seconds until BACKUP_AT
    now=$(date -u +%s)
    at=$(date -u -d "${BACKUP_AT:-02:00}" +%s) || return 1
    [ "$at" -gt "$now" ] || at=$((at + 86400))
    echo $((at - now))
}

# A shell heeds a signal only between its commands, or while it waits: told to end, a backup takes back what it began.
wait_for() {
    "$@" &
    child=$!
    wait "$child"
}
trap 'kill "$child" 2>/dev/null && wait "$child" || true; exit 0' TERM INT

next >/dev/null || { echo "BACKUP_AT must be a time such as 02:00, in UTC" >&2; exit 2; }
while :; do
    if wait_for billing backup --directory /var/lib/billing-backups --keep-days "${BACKUP_KEEP_DAYS:-30}" --verify; then
        wait_for sleep "$(next)"
    else
        wait_for sleep 600
    fi
done

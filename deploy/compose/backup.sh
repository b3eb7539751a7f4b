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

next >/dev/null || { echo "BACKUP_AT must be a time such as 02:00, in UTC" >&2; exit 2; }
while :; do
    if billing backup --directory /var/lib/billing-backups --keep-days "${BACKUP_KEEP_DAYS:-30}" --verify; then
        sleep "$(next)"
    else
        sleep 600
    fi
done

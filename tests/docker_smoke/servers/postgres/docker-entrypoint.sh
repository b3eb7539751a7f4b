#!/usr/bin/env bash
# What the official image's entry point does for docker-compose.yml: fill a new data folder once, then become Postgres.
set -euo pipefail
chmod 0700 "$PGDATA"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # shellcheck disable=SC2086 # the options are words
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}unused") \
        ${POSTGRES_INITDB_ARGS:-} >/dev/null
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --wait --options "-c listen_addresses='' -p 5432" start >/dev/null
    if [ "$POSTGRES_DB" != postgres ]; then
        createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    fi
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck disable=SC1090 # whatever was mounted there
        [ ! -e "$script" ] || . "$script"
    done
    pg_ctl --silent --mode=fast --wait stop
fi

[ "$1" = postgres ] && shift
exec postgres -c listen_addresses='*' "$@"

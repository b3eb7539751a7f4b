#!/usr/bin/env bash
# Before the image's own entry point: user, password and database out of DATABASE_URL, so that they stand in one place.
set -euo pipefail

url=${DATABASE_URL:-}
form='^postgres(ql)?://([^:@/?#]+):([^@/?#]+)@[^/?#]+/([^/?#]+)'
if [[ ! $url =~ $form ]]; then
    echo "postgres: DATABASE_URL must be postgresql://USER:PASSWORD@postgres:5432/DATABASE; set it in .env" >&2
    exit 2
fi

decoded() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

# The superuser has a password that nobody knows: it is reached by `docker compose exec postgres psql -U postgres`.
# It counts for the first start alone, when the data folder is filled.
POSTGRES_USER=postgres
POSTGRES_DB=postgres
POSTGRES_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
POSTGRES_INITDB_ARGS='--data-checksums --auth-host=scram-sha-256'
OWNER=$(decoded "${BASH_REMATCH[2]}")
OWNER_PASSWORD=$(decoded "${BASH_REMATCH[3]}")
OWNER_DATABASE=$(decoded "${BASH_REMATCH[4]}")
export POSTGRES_USER POSTGRES_DB POSTGRES_PASSWORD POSTGRES_INITDB_ARGS OWNER OWNER_PASSWORD OWNER_DATABASE

exec docker-entrypoint.sh "$@"

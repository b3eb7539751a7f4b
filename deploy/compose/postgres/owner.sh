# shellcheck shell=bash
# Run once, by the image's entry point, in a new data folder: the service's role, no superuser, and its database.
# It may create databases: that is how a backup is restored beside the running one and looked at.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner OWNER
\getenv password OWNER_PASSWORD
\getenv database OWNER_DATABASE
CREATE ROLE :"owner" LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"owner";
SQL

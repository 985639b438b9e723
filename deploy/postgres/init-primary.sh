#!/bin/sh
# Runs once, when the official image has created an empty cluster: the roles, the database and who may
# connect. Commits are local here, because no standby can confirm them yet.
#
#   ERP_OWNER_PASSWORD         owns the schema; migrations only
#   ERP_APP_PASSWORD           what requests and jobs run as; owns nothing, so row security binds it
#   ERP_PLATFORM_PASSWORD      coordinator and operator routes; row security binds it too
#   ERP_REPLICATION_PASSWORD   the standbys
set -eu

# Passwords go by the environment and \getenv, not by the command line, which other processes can list.
PGOPTIONS='-c synchronous_commit=local' psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
    --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner_password ERP_OWNER_PASSWORD
\getenv app_password ERP_APP_PASSWORD
\getenv platform_password ERP_PLATFORM_PASSWORD
\getenv replication_password ERP_REPLICATION_PASSWORD

CREATE ROLE erp_owner       LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'owner_password';
CREATE ROLE erp_app         LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
CREATE ROLE erp_platform    LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'platform_password';
CREATE ROLE erp_replication LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE REPLICATION   PASSWORD :'replication_password';

CREATE DATABASE erp OWNER erp_owner TEMPLATE template0;
REVOKE ALL ON DATABASE erp FROM PUBLIC;
GRANT CONNECT ON DATABASE erp TO erp_app, erp_platform;
SQL

cat > "$PGDATA/pg_hba.conf" <<'RULES'
local all         all                      scram-sha-256
host  all         all             samenet  scram-sha-256
host  all         all        127.0.0.1/32  scram-sha-256
host  replication erp_replication samenet  scram-sha-256
host  replication erp_replication 127.0.0.1/32 scram-sha-256
RULES

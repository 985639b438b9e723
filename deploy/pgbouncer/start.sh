#!/bin/sh
# Writes the two files that differ between installations, readable by this user only, and becomes PgBouncer.
#
#   PRIMARY_HOST, PRIMARY_PORT (5432)         where writes go
#   REPLICA_HOSTS  "host1 host2:5433"         offered as erp_replica1, erp_replica2, ...
#   ERP_APP_PASSWORD, ERP_PLATFORM_PASSWORD   of the two roles the application logs in as
#   POOL_SIZE (24), PLATFORM_POOL_SIZE (10), REPLICA_POOL_SIZE (16): server connections of this process;
#     all poolers together must stay below each server's max_connections
#   RUN_DIR (/run/pgbouncer), CONFIG (/etc/pgbouncer/pgbouncer.ini)
set -eu
umask 077

: "${PRIMARY_HOST:?PRIMARY_HOST is not set}"
: "${ERP_APP_PASSWORD:?ERP_APP_PASSWORD is not set}"
: "${ERP_PLATFORM_PASSWORD:?ERP_PLATFORM_PASSWORD is not set}"
run=${RUN_DIR:-/run/pgbouncer}

# In a quoted name of the user list a double quote is doubled.
quoted() {
    printf '%s' "$1" | sed 's/"/""/g'
}

database() {
    printf '%s = host=%s port=%s dbname=erp pool_size=%s\n' "$1" "$2" "$3" "$4"
}

{
    printf '"erp_app" "%s"\n' "$(quoted "$ERP_APP_PASSWORD")"
    printf '"erp_platform" "%s"\n' "$(quoted "$ERP_PLATFORM_PASSWORD")"
} > "$run/userlist.txt"

{
    printf '[databases]\n'
    database erp "$PRIMARY_HOST" "${PRIMARY_PORT:-5432}" "${POOL_SIZE:-24}"
    database erp_platform "$PRIMARY_HOST" "${PRIMARY_PORT:-5432}" "${PLATFORM_POOL_SIZE:-10}"
    number=0
    for replica in ${REPLICA_HOSTS:-}; do
        number=$((number + 1))
        case $replica in
            *:*) database "erp_replica$number" "${replica%:*}" "${replica##*:}" "${REPLICA_POOL_SIZE:-16}" ;;
            *) database "erp_replica$number" "$replica" 5432 "${REPLICA_POOL_SIZE:-16}" ;;
        esac
    done
} > "$run/databases.ini"

exec pgbouncer "${CONFIG:-/etc/pgbouncer/pgbouncer.ini}"

#!/bin/sh
# A streaming standby: copies the primary on first start, then becomes PostgreSQL with the given arguments.
#
#   REPLICA_NAME               its slot, and its name in synchronous_standby_names
#   PRIMARY_HOST, PRIMARY_PORT (5432)
#   ERP_REPLICATION_PASSWORD
#   PGDATA
set -eu
umask 077

: "${REPLICA_NAME:?REPLICA_NAME is not set}"
: "${PRIMARY_HOST:?PRIMARY_HOST is not set}"
: "${ERP_REPLICATION_PASSWORD:?ERP_REPLICATION_PASSWORD is not set}"
source="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=erp_replication application_name=$REPLICA_NAME connect_timeout=3"
# Ours, not standby.signal: that one goes away when the standby is promoted, and its data must not.
copied="$PGDATA/.copied"
passfile="$PGDATA/.replication-password"

replication() {
    PGPASSWORD="$ERP_REPLICATION_PASSWORD" psql --no-psqlrc --quiet "$source replication=true dbname=postgres" \
        -c "$1" > /dev/null 2>&1
}

if [ ! -e "$copied" ]; then
    tries=0
    until replication IDENTIFY_SYSTEM; do
        tries=$((tries + 1))
        if [ "$tries" -ge 60 ]; then
            echo "$PRIMARY_HOST did not accept a replication connection within a minute" >&2
            exit 1
        fi
        sleep 1
    done
    # An interrupted copy, and the slot of an earlier life of this standby.
    find "$PGDATA" -mindepth 1 -delete
    replication "DROP_REPLICATION_SLOT $REPLICA_NAME" || true
    PGPASSWORD="$ERP_REPLICATION_PASSWORD" pg_basebackup --pgdata="$PGDATA" --dbname="$source" \
        --checkpoint=fast --wal-method=stream --create-slot --slot="$REPLICA_NAME"
    chmod 0700 "$PGDATA"
    touch "$PGDATA/standby.signal" "$copied"
fi

# At every start: host and password may have changed since the copy was made. In a password file a colon and
# a backslash are escaped; on the command line others could read it.
printf '*:*:*:erp_replication:%s\n' "$(printf '%s' "$ERP_REPLICATION_PASSWORD" | sed 's/[\\:]/\\&/g')" > "$passfile"
unset ERP_REPLICATION_PASSWORD
exec postgres -D "$PGDATA" -c "primary_slot_name=$REPLICA_NAME" \
    -c "primary_conninfo=$source keepalives_idle=5 passfile=$passfile" "$@"

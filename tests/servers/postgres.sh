#!/usr/bin/env bash
# A PostgreSQL server of its own for the storage tests: loopback only, its data in one folder, gone with `down`.
#
#   postgres.sh up FOLDER [PORT]      starts it and prints the URL for HPO_TEST_PG
#   postgres.sh down FOLDER           stops it
#   postgres.sh standby FOLDER PORT OF_PORT
#                                     starts one that follows the server at OF_PORT, and may be read
#   postgres.sh promote FOLDER        makes it a server of its own
#   postgres.sh kill FOLDER           kills all its processes at once with SIGKILL, as a power cut would
#
# Every folder above FOLDER must be searchable by others: the server refuses to run as root and runs as `postgres` then.
set -euo pipefail

folder=$(realpath -m "${2:?which folder?}")
port=${3:-15433}
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

as_server() {
    if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c "$*"; else sh -c "$*"; fi
}

own_folder() {
    mkdir -p "$folder"
    if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
    chmod 0711 "$folder"
}

start() {
    as_server "'$programs/pg_ctl' -D '$folder/data' -w -t 60 -l '$folder/log' \
        -o '-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder -c max_connections=300' start" >&2
    echo "postgresql+psycopg://postgres@127.0.0.1:$port/postgres"
}

case ${1:-} in
up)
    own_folder
    if [ ! -s "$folder/data/PG_VERSION" ]; then
        as_server "'$programs/initdb' -D '$folder/data' --auth=trust --username=postgres --encoding=UTF8 --locale=C" >&2
    fi
    start
    ;;
standby)
    own_folder
    as_server "'$programs/pg_basebackup' -h 127.0.0.1 -p '$4' -U postgres -D '$folder/data' -R -c fast" >&2
    start
    ;;
promote)
    as_server "'$programs/pg_ctl' -D '$folder/data' -w promote" >&2
    ;;
down)
    as_server "'$programs/pg_ctl' -D '$folder/data' -m fast -w stop" >&2
    ;;
kill)
    server=$(head -n 1 "$folder/data/postmaster.pid")
    all="$server $(cat "/proc/$server/task/$server/children")"
    kill -KILL $all
    for pid in $all; do
        while [ -e "/proc/$pid" ]; do sleep 0.02; done # a zombie still counts as a running server
    done
    ;;
*)
    echo "usage: $0 up|standby|promote|kill|down FOLDER [PORT [OF_PORT]]" >&2
    exit 2
    ;;
esac

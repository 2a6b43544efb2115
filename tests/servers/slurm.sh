#!/usr/bin/env bash
# A Slurm cluster of its own for the tests: a controller and a few nodes, all on this machine, its files in one folder.
#
#   slurm.sh run COMMAND...           runs the command where clusters may be started: root only, in namespaces that see
#                                     no other machine and take every daemon and job with them when the command ends
#
# and within:
#
#   slurm.sh up FOLDER [NODES CPUS]   starts a cluster and prints the path for SLURM_CONF
#   slurm.sh down FOLDER              ends it, and what its jobs have started
#   slurm.sh kill-controller FOLDER   kills the controller with SIGKILL
#   slurm.sh start-controller FOLDER  starts it again; it finds what it has saved
#   slurm.sh forget FOLDER            kills the controller and starts a new one that knows nothing and counts jobs from 1
#   slurm.sh kill-node FOLDER NODE    kills a node (n1, n2 ...) and everything that runs there with SIGKILL
#   slurm.sh start-node FOLDER NODE   starts it again
set -euo pipefail

if [ "${1:-}" = run ]; then
    shift
    export HPO_TEST_SLURM=1
    # the second address is for the resolver, which takes a machine with loopback addresses only for one without network
    exec unshare --net --pid --fork --mount-proc --kill-child=KILL \
        bash -c 'ip link set lo up; ip addr add 10.255.0.1/32 dev lo; "$@"; exit $?' _ "$@"
fi

folder=$(realpath -m "${2:?which folder?}")
export SLURM_CONF=$folder/slurm.conf
host=$(hostname -s)

write_conf() {
    cat >"$SLURM_CONF" <<END
ClusterName=hpo
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CommunicationParameters=NoAddrCache,NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_max_job_start=0,default_queue_depth=5000
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1
KillWait=2
MaxArraySize=10001
MaxJobCount=20000
GresTypes=gpu
PartitionName=main Nodes=n[1-$1] Default=YES MaxTime=01:00:00 State=UP DefMemPerCPU=500
END
    echo "Name=gpu File=$folder/gpu[0-1]" >"$folder/gres.conf"
    for i in $(seq "$1"); do
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17000 + i)) CPUs=$2 RealMemory=64000 Gres=gpu:2"
    done >>"$SLURM_CONF"
}

within() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ $SECONDS -ge $end ]; then
            echo "not within its time: $*" >&2
            return 1
        fi
        sleep 0.1
    done
}

all_idle() { [ "$(timeout 5 sinfo --noheader --Node --states=idle 2>/dev/null | wc -l)" = "$(grep -c ^NodeName "$SLURM_CONF")" ]; }

answers() { timeout 5 scontrol ping >/dev/null 2>&1; }

is_gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.*zombie' "/proc/$1/status" 2>/dev/null; }

killed() { # PID...: and no longer there
    kill -KILL "$@" 2>/dev/null || true
    for pid in "$@"; do within 20 is_gone "$pid"; done
}

kill_controller() { if [ -s "$folder/slurmctld.pid" ]; then killed "$(cat "$folder/slurmctld.pid")"; fi; }

start_controller() {
    slurmctld "$@"
    within 30 answers
}

kill_node() {
    local victims parents
    if [ -s "$folder/slurmd-$1.pid" ]; then victims=$(cat "$folder/slurmd-$1.pid"); fi
    for environ in /proc/[0-9]*/environ; do # the jobs of this node, and the processes that watch them
        if tr '\0' '\n' <"$environ" 2>/dev/null | grep -qx "SLURMD_NODENAME=$1"; then
            pid=${environ//[!0-9]/}
            victims="${victims:-} $pid"
            parent=$(awk '{ print $4 }' "/proc/$pid/stat" 2>/dev/null || true)
            if grep -q '^slurmstepd' "/proc/${parent:-0}/comm" 2>/dev/null; then parents="${parents:-} $parent"; fi
        fi
    done
    killed ${parents:-} ${victims:-}
    rm -f "$folder/slurmd-$1.pid"
}

nodes() { sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$SLURM_CONF"; }

case ${1:-} in
up)
    mkdir -p "$folder/munge" "$folder/state"
    chmod 0755 "$folder/munge"
    write_conf "${3:-2}" "${4:-8}"
    for i in 0 1; do [ -e "$folder/gpu$i" ] || mknod "$folder/gpu$i" c 1 3; done
    head -c 1024 /dev/urandom >"$folder/munge/key"
    chmod 0400 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" >&2
    start_controller -c
    for node in $(nodes); do slurmd -N "$node"; done
    within 60 all_idle
    echo "$SLURM_CONF"
    ;;
down)
    kill_controller
    for node in $(nodes); do kill_node "$node"; done
    killed "$(cat "$folder/munge/pid")"
    ;;
kill-controller) kill_controller ;;
start-controller) start_controller ;;
forget)
    kill_controller
    rm -rf "$folder/state"/*
    start_controller -c
    ;;
kill-node) kill_node "${3:?which node?}" ;;
start-node) slurmd -N "${3:?which node?}" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# A real Slurm on this machine, for tests: one node that poses as 4 cores, 32 GB and four GPUs.
#
#   slurm.sh start     writes /etc/slurm and starts the daemons (as root); another's configuration is refused
#   slurm.sh stop      cancels all jobs, stops the daemons, and kills what jobs have left
#
# Without control groups, memory is watched by accounting alone, and GPUs are empty files.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
STATE=/var/tmp/convttlstm-slurm
MARK="# Written by tests/workflow/slurm.sh of convttlstm"

configure() {
    if [[ -e $CONF ]] && ! head -1 "$CONF" | grep -qF "$MARK"; then
        echo "$CONF is another cluster's; nothing was changed" >&2
        exit 1
    fi
    rm -rf "$STATE"
    mkdir -p "$STATE"/{ctld,d,gpus} /etc/slurm
    touch "$STATE"/gpus/gpu{0,1,2,3}
    cat >"$CONF" <<-END
	$MARK
	ClusterName=test
	SlurmctldHost=$(hostname)
	SlurmUser=root
	SlurmdUser=root
	AuthType=auth/munge
	StateSaveLocation=$STATE/ctld
	SlurmdSpoolDir=$STATE/d
	SlurmctldPidFile=$STATE/slurmctld.pid
	SlurmdPidFile=$STATE/slurmd.pid
	SlurmctldLogFile=$STATE/slurmctld.log
	SlurmdLogFile=$STATE/slurmd.log
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	JobAcctGatherType=jobacct_gather/linux
	JobAcctGatherFrequency=task=2
	JobAcctGatherParams=OverMemoryKill,UsePss
	SelectType=select/cons_tres
	SelectTypeParameters=CR_Core_Memory
	SlurmdParameters=config_overrides
	GresTypes=gpu
	AccountingStorageType=accounting_storage/none
	PreemptType=preempt/partition_prio
	PreemptMode=REQUEUE
	JobRequeue=1
	KillWait=10
	MinJobAge=600
	ReturnToService=1
	SchedulerParameters=sched_interval=2,bf_interval=2
	MpiDefault=none
	NodeName=$(hostname) CPUs=4 RealMemory=32000 Gres=gpu:4 State=UNKNOWN
	PartitionName=gpu Nodes=ALL Default=YES PriorityTier=1
	PartitionName=urgent Nodes=ALL PriorityTier=10
	END
    echo "Name=gpu File=$STATE/gpus/gpu[0-3]" >/etc/slurm/gres.conf
}

start() {
    configure
    mkdir -p /run/munge
    chown munge: /run/munge /etc/munge /var/lib/munge /var/log/munge
    pgrep -x munged >/dev/null || runuser -u munge -- /usr/sbin/munged
    slurmctld
    slurmd
    for _ in $(seq 100); do
        [[ $(sinfo --noheader --partition gpu --format %t 2>/dev/null) == idle ]] && return
        sleep 0.2
    done
    echo "the node does not come up; see $STATE/slurmctld.log and $STATE/slurmd.log" >&2
    exit 1
}

stop() {
    scancel --quiet --user root --signal KILL --full 2>/dev/null || true
    scancel --quiet --user root 2>/dev/null || true
    for daemon in slurmd slurmctld; do
        pkill -x "$daemon" || true
        while pgrep -x "$daemon" >/dev/null; do sleep 0.1; done
    done
    pkill -x munged || true
    # Snakemake inside a cancelled job can outlive it, and hold the output of whoever started Slurm.
    pkill -KILL -f -- "snakemake .*--mode remote" || true
}

"${1:?start or stop}"

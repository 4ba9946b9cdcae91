# Runs in the virtual machine, as root, with control groups v2 and nobody else there. What follows below is written by
# `cargo xtask secure`: a line per program.
export HOME=/tmp LANG=C.UTF-8
hostname vm
echo
echo "@@ kernel $(uname -r), control groups v2: $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "+memory +cpu +pids" > /sys/fs/cgroup/cgroup.subtree_control

# Tests start what an ordinary user starts in a group that was handed to that user, below this one.
export DAYFLY_DELEGATED=/sys/fs/cgroup/delegated
mkdir "$DAYFLY_DELEGATED"
echo "+memory +cpu +pids" > "$DAYFLY_DELEGATED/cgroup.subtree_control"

# A program with a group to itself.
bounded() { # name, folder, seconds, command…
  local name=$1 folder=$2 seconds=$3 group
  shift 3
  group=$(mktemp -d /sys/fs/cgroup/program-XXXXXX)
  echo "@@ begin $name"
  (cd "$folder" && timeout -k 10 "$seconds" bash -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" "$@" 2>&1)
  echo "@@ end $name $?"
}


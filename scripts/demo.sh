#!/usr/bin/env bash
# Builds Dayfly, starts it on a free port with fresh state, deploys four functions, calls them, shows the cost, stops.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

say() { printf '\n== %s\n' "$*"; }

# The demo talks to its own platform only, whatever this shell points at.
unset AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
unset DAYFLY_ROOT_ACCESS_KEY_ID DAYFLY_ROOT_SECRET_ACCESS_KEY

say "building dayfly"
cargo build --release
dayfly="${CARGO_TARGET_DIR:-target}/release/dayfly"

scratch="$(mktemp -d "${TMPDIR:-/tmp}/dayfly-demo.XXXXXX")"
export DAYFLY_DATA="$scratch/data"
server=
stop() {
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
    server=
  fi
}
finish() {
  stop
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "starting it on a free port"
mkfifo "$scratch/banner"
"$dayfly" up --listen 127.0.0.1:0 >"$scratch/banner" &
server=$!
# The banner ends with the line "next"; what is printed later is of no interest here.
exec 3<"$scratch/banner"
ready=
while IFS= read -r -t 60 line <&3; do
  printf '%s\n' "$line"
  case "$line" in next*) ready=yes; break ;; esac
done
[ -n "$ready" ] || { printf 'demo: dayfly did not start\n' >&2; exit 1; }
cat <&3 >/dev/null &
exec 3<&-

functions=(python-hello node-hello rust-hello python-boto3)
for function in "${functions[@]}"; do
  say "dayfly deploy examples/$function"
  "$dayfly" deploy "examples/$function"
done

call() { "$dayfly" invoke "$@" --payload '{"text": "hello", "name": "Ada"}'; }
for function in "${functions[@]}"; do
  say "dayfly invoke $function: a fresh process, a copy of a template, a copy that waited, and once more"
  call "$function" --cold=spawn --explain
  call "$function" --cold=fork
  call "$function" --cold=spare --explain
  call "$function"
  # More calls of both kinds, so that the table shows the middle of many.
  for _ in 1 2; do call "$function" --cold >/dev/null 2>&1; done
  for _ in {1..20}; do call "$function" >/dev/null 2>&1; done
done

table="$("$dayfly" list --cost)"
say "stopping it"
stop
say "what the functions took and cost"
printf '%s\n' "$table"
printf '\nto keep Dayfly running:\n  %s up\n' "$dayfly"

#!/usr/bin/env bash
# Every test there is, cheapest first; stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

step() {
  printf '\n== %s\n' "$1"
  local began=$SECONDS
  shift
  "$@"
  printf '   %s s\n' "$((SECONDS - began))"
}

licences() {
  if cargo deny --version >/dev/null 2>&1; then
    cargo deny --log-level error check licenses bans sources
  else
    echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"
  fi
}

step "formatting" cargo fmt --all --check
step "house rules" cargo xtask tidy
step "licences and sources" licences
step "generated code is current" cargo xtask codegen --check
step "lints" cargo clippy --quiet --workspace --all-targets -- -D warnings
step "unit and integration tests" cargo test --quiet --workspace
step "release build" cargo build --release
step "black-box tests with official clients" .test/venv/bin/python -m pytest tests -q -p no:cacheprovider

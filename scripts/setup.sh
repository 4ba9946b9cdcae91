#!/usr/bin/env bash
# Installs what is missing to build Dayfly and to run its examples (and, with --test, its tests).
# Says what it does; does nothing where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else
    printf 'setup: cannot install packages: not root, and no sudo\n' >&2
    printf 'hint: as root, run: %s\n' "$*" >&2
    exit 1
  fi
}

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need cc build-essential
need git git
need curl curl
need python3 python3
need node nodejs
need npm npm
need javac default-jdk-headless
[ "${1:-}" != --test ] || need mvn maven
[ "${1:-}" != --test ] || need strace strace
[ "${1:-}" != --test ] || [ -x /usr/sbin/runc ] || need runc runc
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || {
    printf 'setup: missing: %s\nhint: install them with this system'"'"'s package manager and run again\n' "${missing[*]}" >&2
    exit 1
  }
  say "installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ca-certificates >/dev/null
fi

if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
if ! command -v cargo >/dev/null; then
  say "installing the Rust toolchain with rustup (into ~/.cargo)"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --no-modify-path
  PATH="$HOME/.cargo/bin:$PATH"
fi
cargo --version >/dev/null || { printf 'setup: cargo does not run\n' >&2; exit 1; }

[ "${1:-}" = --test ] || exit 0

# Components for the tests of WebAssembly, which are skipped by name without it.
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx wasm32-wasip2; then
  say "installing the Rust target wasm32-wasip2"
  rustup target add wasm32-wasip2 >/dev/null 2>&1 || say "it cannot be had; its tests will be skipped"
fi

# The clients that the tests drive; versions are pinned in the two files.
if ! cmp -s tests/requirements.txt .test/venv/requirements.txt; then
  say "installing the Python clients for the tests"
  rm -rf .test/venv
  python3 -m venv .test/venv
  .test/venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt .test/venv/requirements.txt
fi
if ! cmp -s tests/package.json .test/js/package.json; then
  say "installing the JavaScript clients for the tests"
  rm -rf .test/js && mkdir -p .test/js
  cp tests/package.json .test/js/
  npm install --prefix .test/js --no-audit --no-fund --silent
fi

#!/bin/sh
# Installs one of AWS's runtime clients: install.sh python|node INTERPRETER FOLDER
# Does nothing when it is there already. Needs a package registry the first time.
set -eu
kind=$1 tool=$2 folder=$3
[ -f "$folder/.complete" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
case $kind in
python)
    # Wheels only: the client is partly native, and a build from source takes minutes.
    "$tool" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 \
        --only-binary :all: --target "$folder" awslambdaric
    ;;
node)
    # Without its install scripts, which build a native HTTP client; client.cjs stands in for that.
    npm install --silent --ignore-scripts --fetch-retries 1 --fetch-timeout 15000 --no-save --prefix "$folder" aws-lambda-ric@3
    ;;
esac
touch "$folder/.complete"

#!/bin/sh
# Writes SHA256SUMS for all files in a folder, signed with the OpenSSH private key in SIGNING_KEY.
#   sign.sh FOLDER
# To verify both with the public key:
#   ssh-keygen -Y verify -f allowed_signers -I lacuna -n lacuna -s SHA256SUMS.sig <SHA256SUMS && sha256sum -c SHA256SUMS
set -eu
cd "$1"
: "${SIGNING_KEY:?a private key of OpenSSH}"
key=$(mktemp)
trap 'rm -f "$key"' EXIT
printf '%s\n' "$SIGNING_KEY" >"$key"
rm -f SHA256SUMS SHA256SUMS.sig
find . -type f ! -name 'SHA256SUMS*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS
ssh-keygen -Y sign -q -f "$key" -n lacuna SHA256SUMS

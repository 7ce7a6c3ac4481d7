#!/bin/sh
# Builds the gateway's program twice from scratch and compares the digests.
set -eu
cd "$(dirname "$0")/../.."
digest() {
    # Reuse neither layers nor compiled crates of earlier builds.
    docker build --quiet --no-cache --build-arg "FRESH=$1" --target build --tag "lacuna-twice:$1" \
        --file deploy/docker/gateway.Dockerfile . >/dev/null
    docker run --rm --entrypoint sha256sum "lacuna-twice:$1" /usr/local/bin/lacuna | cut -d' ' -f1
}
first=$(digest "first-$$")
second=$(digest "second-$$")
docker image rm "lacuna-twice:first-$$" "lacuna-twice:second-$$" >/dev/null
echo "first  $first"
echo "second $second"
test "$first" = "$second"

#!/bin/sh
# Shows what is to go, and erases it. Usage: LACUNA_TOKEN=… erase.sh ADDRESS PHOTO MASK RESULT
set -eu
address=$1 photo=$2 mask=$3 result=$4
curl --fail-with-body -sS -H "Authorization: Bearer $LACUNA_TOKEN" -F "file=@$photo" "$address/mask" -o "$mask"
curl --fail-with-body -sS -H "Authorization: Bearer $LACUNA_TOKEN" -F "file=@$photo" -F "mask=@$mask" \
    "$address/inpaint" -o "$result"

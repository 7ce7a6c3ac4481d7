# The gateway: only the program and the libraries it links to. There is no shell.
# Build from the repository root:
#   docker build -f deploy/docker/gateway.Dockerfile -t lacuna.invalid/gateway .
ARG DEBIAN=12.12-slim
ARG RUST=1.95.0-slim-bookworm

FROM rust:${RUST} AS build
# Debian keeps only one version of a package, so pinned ones would soon be unavailable.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ libde265-dev make nasm pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
COPY proto proto
COPY src src
COPY web web
# Not built, but the manifest lists them.
COPY benches benches
COPY tests tests
# Any new value of FRESH bypasses the cache of earlier builds, for `make reproducible`.
ARG FRESH=""
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    if [ -n "${FRESH}" ]; then rm -rf target/*; fi \
    && cargo build --release --locked --bin lacuna \
    && objcopy --strip-debug target/release/lacuna /usr/local/bin/lacuna

FROM debian:${DEBIAN} AS parts
# ca-certificates: for https:// replicas without their own CA.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libde265-0 libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/lacuna /usr/local/bin/lacuna
COPY deploy/docker/parts.sh /
RUN sh /parts.sh /usr/local/bin/lacuna /root-of-image ca-certificates

FROM scratch AS gateway
COPY --from=parts /root-of-image /
COPY LICENSE /usr/share/doc/lacuna/LICENSE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lacuna-gateway" \
    org.opencontainers.image.description="POST /inpaint in front of NVIDIA Triton" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# Loopback would be unreachable in a container; the operator decides what to publish.
ENV PATH=/usr/local/bin \
    LACUNA_LISTEN=0.0.0.0:8080 \
    LACUNA_ADMIN_LISTEN=0.0.0.0:9090 \
    LACUNA_LOG_FORMAT=json
EXPOSE 8080 9090
# Numeric, as Kubernetes checks it for runAsNonRoot.
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["lacuna", "health"]
ENTRYPOINT ["lacuna"]

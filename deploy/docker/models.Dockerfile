# The model tool: downloads the published weights and writes ONNX graphs. TensorRT plans are built from them in
# NVIDIA's own image, which has trtexec.
#   docker build -f deploy/docker/models.Dockerfile -t lacuna.invalid/models .
ARG DEBIAN=12.12-slim

FROM debian:${DEBIAN} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY models/requirements.txt /requirements.txt
RUN python3 -m venv /opt/models \
    && /opt/models/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /requirements.txt

FROM debian:${DEBIAN} AS models
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/models /opt/models
COPY models/lacuna_models /opt/lacuna/lacuna_models
COPY model_repository/lama /opt/lacuna/model_repository/lama
COPY model_repository/birefnet /opt/lacuna/model_repository/birefnet
# A named volume mounted here inherits this owner.
RUN install -d -o 10001 -g 10001 /models /cache
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lacuna-models" \
    org.opencontainers.image.description="Published networks to models that Triton serves" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/models/bin:$PATH PYTHONPATH=/opt/lacuna PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK NONE
# Configurations next to the graphs make the volume a complete model repository.
CMD ["sh", "-c", "cp -R /opt/lacuna/model_repository/. /models/ && exec python3 -m lacuna_models export --network full --repository /models --cache /cache"]

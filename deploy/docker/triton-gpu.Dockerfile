# Triton for a GPU, and the tool that builds and checks TensorRT plans for it. A plan works only with the TensorRT that
# built it, so one image does both.
#   docker build -f deploy/docker/triton-gpu.Dockerfile -t lacuna.invalid/triton-gpu .
ARG TRITON=24.10-py3

FROM nvcr.io/nvidia/tritonserver:${TRITON} AS triton
COPY models/lacuna_models /opt/lacuna/lacuna_models
RUN install -d -o 10001 -g 10001 /models /cache
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lacuna-triton-gpu" \
    org.opencontainers.image.description="NVIDIA Triton with the tool that builds Lacuna's plans" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PYTHONPATH=/opt/lacuna PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000 8001 8002
USER 10001:10001
WORKDIR /tmp
# Loading and warming up plans takes a while.
HEALTHCHECK --interval=5s --timeout=3s --start-period=300s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
# Refuses to start with a plan for another TensorRT or GPU.
CMD ["sh", "-c", "python3 -m lacuna_models check --repository /models && exec tritonserver --model-repository=/models --model-control-mode=explicit --load-model=lama --load-model=birefnet --strict-readiness=true --exit-timeout-secs=30"]

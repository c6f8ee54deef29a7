# The state service, `orchestrator serve`. Every package is held to the hashes of requirements/service.lock, nothing is
# compiled or resolved, and what runs is neither root nor able to write to its own code.
#
# The base is the image index of 3.13-slim of September 2026; Dependabot proposes newer ones each week.

FROM docker.io/library/python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
RUN python -m venv --copies /app
WORKDIR /source
COPY requirements/service.lock requirements/service.lock
RUN /app/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
    -r requirements/service.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY schemas schemas
COPY orchestrator orchestrator
RUN /app/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /app/bin/python -m compileall -q /app/lib

FROM docker.io/library/python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin orchestrator \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /app /app
# It listens to others, so it starts only when something says who may read; docs/state-service says what.
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 State__Host=0.0.0.0 State__Port=8080
# Without State__Database the records are a SQLite file here.
WORKDIR /data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['State__Port']}/healthz\", timeout=2)"]
CMD ["orchestrator", "serve", "--log-format", "json"]

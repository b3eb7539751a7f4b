# The images of this service: `writer`, `sidecar`, and `sandbox` for trying it without a Stripe account.
# BuildKit and the classic builder both build it: nothing here needs a mount. docs/docker.md says what is in each.
#
# Debian with Python 3.11 or newer, its venv module and apt: an official Python image, or Debian's own Python.
ARG BASE_IMAGE=python:3.13.9-slim-trixie

# --- What every image is made with; nothing of these stages is kept but what is copied from them. ---------------------
FROM ${BASE_IMAGE} AS tools
# An official Python image has its headers; with Debian's own they are a package.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && { [ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] \
        || apt-get install --yes --no-install-recommends python3-dev; } \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src
# Wheels that `make wheels` put there, from whatever index this machine is set to; without any, pip asks its own.
COPY deploy/wheels /wheels
COPY deploy/images deploy/images

FROM tools AS build
COPY requirements-build.lock ./
RUN sh deploy/images/locked-venv.sh requirements-build.lock /opt/tools
COPY pyproject.toml README.md hatch_build.py alembic.ini ./
COPY common common
COPY sidecar sidecar
COPY billing_service billing_service
COPY migrations migrations
COPY writer writer
COPY sandbox sandbox
# One wheel, unpacked: each image takes its packages from it. Without the native part an image would only be slower,
# and nobody would know why. Modes are set here: those of a clone may hide everything from the image's user.
RUN /opt/tools/bin/python -m hatchling build --target wheel --directory /dist \
    && python3 -m zipfile --extract /dist/billing_service-*.whl /app \
    && test -e /app/sidecar/_native.abi3.so \
    && install --mode=0644 alembic.ini /app/alembic.ini \
    && python3 -m compileall -q /app \
    && mkdir --parents /images/sidecar /images/writer /images/sandbox \
    && cd /app \
    && cp --archive billing_service-*.dist-info common sidecar /images/sidecar \
    && cp --archive billing_service-*.dist-info common writer billing_service migrations alembic.ini /images/writer \
    && cp --archive sandbox /images/sandbox

FROM tools AS sidecar-environment
COPY requirements-sidecar.lock ./
RUN sh deploy/images/locked-venv.sh requirements-sidecar.lock /opt/venv

# --- What every image has: a user, no set-id programs, the environment's variables. -----------------------------------
FROM ${BASE_IMAGE} AS runtime
RUN groupadd --gid 10001 billing \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin billing \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
STOPSIGNAL SIGTERM

# --- The sidecar ------------------------------------------------------------------------------------------------------
FROM runtime AS sidecar
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/billing-sidecar
COPY --from=sidecar-environment /opt/venv /opt/venv
COPY --from=build /images/sidecar ./
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="billing-sidecar" \
      org.opencontainers.image.description="Answers on localhost which user may use which feature, from memory" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
USER 10001:10001
EXPOSE 7070 7071
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "common.probe", "SIDECAR_MANAGEMENT_LISTEN=127.0.0.1:7071", "/live"]
CMD ["python", "-m", "sidecar"]

# --- The writer, with `billing`, `alembic`, and Postgres's own programs for backups -----------------------------------
FROM tools AS writer-environment
COPY requirements-writer.lock ./
RUN sh deploy/images/locked-venv.sh requirements-writer.lock /opt/venv \
    && install --mode=0755 deploy/images/billing.py /opt/venv/bin/billing

FROM runtime AS writer
# The server's version or a newer one: pg_dump refuses a server newer than itself. acl: `folders` in docker-compose.yml.
ARG POSTGRES_MAJOR=17
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "postgresql-client-${POSTGRES_MAJOR}" acl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/billing-backups
# Before Debian's wrappers of the same names, which look for a cluster on this machine.
ENV PATH=/opt/venv/bin:/usr/lib/postgresql/${POSTGRES_MAJOR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=writer-environment /opt/venv /opt/venv
COPY --from=build /images/writer ./
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="billing-writer" \
      org.opencontainers.image.description="Takes Stripe's webhooks, keeps the truth in Postgres, tells every sidecar" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "common.probe", "WRITER_LISTEN=0.0.0.0:8000", "/live"]
CMD ["python", "-m", "writer"]

# --- For trying it: the writer's image with Stripe's stand-in and the toy app. Not for production. --------------------
FROM writer AS sandbox
USER 0:0
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/billing-sandbox
COPY --from=build /images/sandbox ./
LABEL org.opencontainers.image.title="billing-sandbox" \
      org.opencontainers.image.description="A stand-in for Stripe and a toy app, to try the service without an account"
USER 10001:10001
EXPOSE 8090 12111
HEALTHCHECK NONE
CMD ["python", "-m", "sandbox.stripe", "--help"]

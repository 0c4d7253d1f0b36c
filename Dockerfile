# The portal and whatever runs beside it: docs/docker.md. Built by Docker, Podman or `make image`.
# Debian 13 has pg_dump 17, so that `manage.py backup` works where the server is a 17.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
RUN python3 -m venv /opt/farm
ENV PATH=/opt/farm/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/base.txt /tmp/requirements.txt
RUN pip install --requirement /tmp/requirements.txt
WORKDIR /srv/farm
COPY . .
# Names with a hash of the content need production's settings. None of these values is in the image.
RUN DJANGO_ENV=production SECRET_KEY=unused ALLOWED_HOSTS=unused DATABASE_URL=postgres://unused/unused \
    python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q .

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update --quiet=2 \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin farm \
    && install --directory --owner=farm --group=farm /srv/backups
ENV PATH=/opt/farm/bin:$PATH PYTHONUNBUFFERED=1 DJANGO_ENV=production
COPY --from=build /opt/farm /opt/farm
COPY --from=build /srv/farm /srv/farm
WORKDIR /srv/farm
# By its number, so that whoever checks for root need not read /etc/passwd.
USER 10001:10001
EXPOSE 8000
# Longer than the first migrate takes, which a web server that is there already waits for.
HEALTHCHECK --interval=10s --timeout=10s --start-period=300s --retries=3 CMD ["python", "scripts/healthcheck.py"]
CMD ["gunicorn", "core.wsgi", "--bind", "0.0.0.0:8000"]

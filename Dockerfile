# One image for the worker and the command line. Built from this folder: docker build -t dchat .

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/dchat
# The requirements first: they change less often than the code.
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY dchat_server/__init__.py dchat_server/
COPY dchat_client/__init__.py dchat_client/
RUN /opt/dchat/bin/pip install '.[client,server,zookeeper-sasl,otel]'
COPY dchat_server dchat_server
COPY dchat_client dchat_client
RUN /opt/dchat/bin/pip install --no-deps --force-reinstall . \
    && /opt/dchat/bin/python -m compileall -q /opt/dchat/lib


FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="D-Chat" \
      org.opencontainers.image.description="Chat for teams and programs: plain HTTP and server-sent events, on Redis Streams." \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 5000 dchat \
    && useradd --uid 5000 --gid dchat --home-dir /var/lib/dchat --create-home --shell /usr/sbin/nologin dchat
COPY --from=build /opt/dchat /opt/dchat
ENV PATH=/opt/dchat/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DCHAT_HOST=0.0.0.0 \
    DCHAT_PORT=5000 \
    DCHAT_DATA_DIR=/var/lib/dchat \
    DCHAT_LOG_FORMAT=json
# Nothing but this folder and /tmp is written to: run it with --read-only and a volume here.
VOLUME /var/lib/dchat
WORKDIR /var/lib/dchat
USER 5000:5000
EXPOSE 5000
STOPSIGNAL SIGTERM
# Lives, not serves: a worker without Redis must not be restarted for it. Balancers ask /readyz.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ['DCHAT_PORT'], timeout=2)"]
CMD ["dchat-server"]

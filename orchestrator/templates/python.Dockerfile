# A Python {{VERSION}} web application. APP is its module. It must listen on 0.0.0.0 at the port in the
# variable PORT (default: 8080).
FROM python:{{VERSION}}-slim AS build
WORKDIR /src
RUN python -m venv /venv
# Install the packages first, so that they are installed again only when the list changes.
{{COPY}}
RUN {{INSTALL}}

FROM python:{{VERSION}}-slim AS final
ARG APP={{APP}}
ENV APP=${APP} \
    PATH=/venv/bin:$PATH \
    PORT=8080 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
# RDS's certificates, with which the application verifies the database: `caFile` of the Database. Remove it without one.
ADD --chmod=644 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds/global-bundle.pem
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=2)"]
ENTRYPOINT ["sh", "-c", "exec {{COMMAND}}"]

# A Go {{VERSION}} web application. It must listen on 0.0.0.0 at the port in the variable PORT (default: 8080).
FROM golang:{{VERSION}} AS build
ARG PACKAGE={{PACKAGE}}
WORKDIR /src
# Copy the list of modules first, so that they are downloaded again only when it changes.
{{COPY}}
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /server "$PACKAGE"

FROM debian:13-slim AS final
# curl runs the health check, ca-certificates let the server call others by HTTPS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
# RDS's certificates, with which the application verifies the database: `caFile` of the Database. Remove it without one.
ADD --chmod=644 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds/global-bundle.pem
COPY --from=build /server /usr/local/bin/server
ENV PORT=8080
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:$PORT/health"
ENTRYPOINT ["sh", "-c", "exec server"]

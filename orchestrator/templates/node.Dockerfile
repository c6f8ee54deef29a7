# A Node {{VERSION}} web application. It is started with `node ENTRY` and must listen on 0.0.0.0 at the port in
# the variable PORT (default: 8080).
FROM node:{{VERSION}}-slim AS build
WORKDIR /src
# Install the packages first, so that they are installed again only when the lock file changes.
{{COPY}}
RUN {{INSTALL}}
COPY . .
RUN {{BUILD}} && {{PRUNE}}

FROM node:{{VERSION}}-slim AS final
ARG ENTRY={{ENTRY}}
ENV ENTRY=${ENTRY} \
    NODE_ENV=production \
    PORT=8080
# RDS's certificates, with which the application verifies the database: `caFile` of the Database. Remove it without one.
ADD --chmod=644 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds/global-bundle.pem
WORKDIR /app
COPY --from=build /src .
USER node
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["sh", "-c", "exec {{COMMAND}}"]

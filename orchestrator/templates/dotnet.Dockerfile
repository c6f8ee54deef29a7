# A .NET {{VERSION}} web application. PROJECT is its .csproj, ASSEMBLY the name of its .dll.
ARG PROJECT={{PROJECT}}
ARG ASSEMBLY={{ASSEMBLY}}

FROM mcr.microsoft.com/dotnet/sdk:{{VERSION}} AS build
ARG PROJECT
WORKDIR /src
# Copy what decides about packages first, so that they are restored only when it changes. Add new projects here.
{{COPY}}
RUN dotnet restore "$PROJECT"
COPY . .
RUN dotnet publish "$PROJECT" --configuration Release --output /app -p:UseAppHost=false

FROM mcr.microsoft.com/dotnet/aspnet:{{VERSION}} AS final
ARG ASSEMBLY
# curl runs the health check; the image has no HTTP client.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
# RDS's certificates, with which the application verifies the database: `caFile` of the Database. Remove it without one.
ADD --chmod=644 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds/global-bundle.pem
WORKDIR /app
COPY --from=build /app .
ENV PORT=8080 \
    DOTNET_EnableDiagnostics=0 \
    ENTRY=${ASSEMBLY}.dll
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 \
    CMD curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:$PORT/health"
# ASP.NET Core does not read PORT, which App Runner and other platforms set.
ENTRYPOINT ["sh", "-c", "ASPNETCORE_HTTP_PORTS=$PORT exec dotnet \"$ENTRY\""]

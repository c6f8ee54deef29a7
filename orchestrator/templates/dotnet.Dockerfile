# A .NET 10 web application. PROJECT is the name of its .csproj without the extension, and of its assembly.
ARG PROJECT=Api

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
ARG PROJECT
WORKDIR /src
# Copy the project file first, so that packages are restored only when it changes.
COPY ["${PROJECT}.csproj", "./"]
RUN dotnet restore "${PROJECT}.csproj"
COPY . .
RUN dotnet publish "${PROJECT}.csproj" --configuration Release --no-restore --output /app -p:UseAppHost=false

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS final
ARG PROJECT
# curl runs the health check; the image has no HTTP client.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app .
ENV PORT=8080 \
    DOTNET_EnableDiagnostics=0 \
    ENTRY=${PROJECT}.dll
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s --retries=3 \
    CMD curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:$PORT/health"
# ASP.NET Core does not read PORT, which App Runner and other platforms set.
ENTRYPOINT ["sh", "-c", "ASPNETCORE_HTTP_PORTS=$PORT exec dotnet \"$ENTRY\""]

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY examples/client-ts/package.json ./examples/client-ts/
RUN npm ci
COPY scripts ./scripts
COPY src ./src
COPY console ./console
COPY examples/workflows ./examples/workflows
COPY openapi.yaml ./
RUN npm run build

# Both programs: `docker run IMAGE` is the gateway, `docker run IMAGE orchestrator …` the orchestrator.
FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
# Nothing is installed here any more, so nobody needs what installs.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn*
COPY scripts/entrypoint.sh ./foldforge
COPY LICENSE ./
COPY openapi.yaml ./
COPY --from=build /build/dist ./dist
USER 1000:1000
EXPOSE 8080 50051 9090
# Asks whichever of the two runs as process 1, on the port that its settings name.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["node", "/app/dist/bin/healthcheck.js", "1"]
ENTRYPOINT ["/app/foldforge"]
CMD ["gateway"]
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="FoldForge gateway" \
      org.opencontainers.image.description="Design proteins over HTTP: the gateway and its orchestrator" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

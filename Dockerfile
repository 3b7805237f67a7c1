# cachelab with vLLM's CPU build. From the top of the repository:
#   docker build --tag cachelab .
#   docker run --rm --volume "$PWD:/data" cachelab experiment=multi_turn
FROM python:3.11-slim

# What vLLM's CPU build loads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libnuma1 libtcmalloc-minimal4 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/cachelab
COPY pyproject.toml README.md ./
COPY tools/install.sh tools/
COPY src src
COPY conf conf
# The installer of `make install`: it chooses PyTorch's CPU builds and checks that vLLM imports.
RUN PIP_NO_CACHE_DIR=1 bash tools/install.sh /opt/venv cpu

# Runs and the MLflow database are written to the working directory.
WORKDIR /data
ENTRYPOINT ["/opt/venv/bin/python", "-m", "cachelab"]

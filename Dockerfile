# melaudit on the CPU:  docker run --rm -v "$PWD:/work" melaudit run --model ckpt.pt --data images
FROM python:3.12-slim

# An index with builds of torch for the CPU; without it, torch brings gigabytes of CUDA along.
ARG PIP_EXTRA_INDEX_URL=""

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY melaudit ./melaudit
RUN python -m pip install --no-cache-dir -c constraints.txt . \
    && useradd --create-home --uid 1000 auditor
USER 1000
WORKDIR /work
ENTRYPOINT ["melaudit"]
CMD ["--help"]

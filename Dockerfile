# cryodeco in a container, from this source:
#   docker build -t cryodeco .
#   docker run --rm --user "$(id -u):$(id -g)" -v /data:/data cryodeco run --particles /data/P3/J42 --outdir /data/results ...
# For `cryodeco cryosparc`, with the client of the instance's version: --build-arg CRYOSPARC_TOOLS="cryosparc-tools~=5.0.0"
FROM debian:12-slim AS build
COPY . /source
WORKDIR /source
RUN ./bootstrap package

FROM debian:12-slim
ARG CRYOSPARC_TOOLS=""
COPY --from=build /source/dist/*.deb /tmp/
# Debian's newest security updates are wanted, not the versions of one day.
# hadolint ignore=DL3008,DL3013
RUN apt-get update \
    && apt-get install -y --no-install-recommends /tmp/cryodeco_*.deb python3 python3-numpy python3-pip ca-certificates \
    && if [ -n "$CRYOSPARC_TOOLS" ]; then pip3 install --no-cache-dir --break-system-packages "$CRYOSPARC_TOOLS"; fi \
    && rm -rf /var/lib/apt/lists/* /tmp/*.deb \
    && cryodeco --version
ENTRYPOINT ["cryodeco"]
CMD ["--help"]

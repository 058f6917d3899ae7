# The roles of compline in one image: `docker build -t compline .`
#
# There was no Docker engine where this was written: the steps were tried one by
# one on Debian, the image was not built.

FROM rust:1.95-slim AS build
# librdkafka is built from its source: C, C++ and cmake; make for its generator.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
# The image has the toolchain that rust-toolchain.toml names, without its components.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p compline \
    && install -m 0755 target/release/compline /usr/local/bin/compline

FROM debian:trixie-slim
# librdkafka is C++; the roles reach Postgres and the log without any other tool.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home compline
COPY --from=build /usr/local/bin/compline /usr/local/bin/compline
USER compline
WORKDIR /
# Ingress, query, command, admin.
EXPOSE 7400 7401 7402 7403
ENTRYPOINT ["/usr/local/bin/compline"]
CMD ["--help"]

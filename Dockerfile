# The images of `cargo xtask images`, built with Docker:
#   docker build --target arxiv-operator   -t arxiv-operator:0.1.0 .
#   docker build --target arxiv-api-server -t arxiv-api-server:0.1.0 .
# Static programs without a base image: no shell, no package manager, a user that is not root. Flags, files, user, labels and entrypoints
# are the same (a test compares the texts). Differences: the list of certificate authorities is Debian's, not the one that Cargo.lock
# pins; files have times, so each build has another digest; and there is no SBOM.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# glibc is linked statically; see crates/images/src/programs.rs.
ENV RUSTFLAGS="-Ctarget-feature=+crt-static --remap-path-prefix=/usr/local/cargo=/cargo --remap-path-prefix=/usr/local/rustup=/rustup --remap-path-prefix=/source=/source"
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
 && cargo build --release --locked --target "$target" -p arxiv-operator -p arxiv-api-server --bin arxiv-operator --bin arxiv-api-server \
 && install -D -t /out "target/$target/release/arxiv-operator" "target/$target/release/arxiv-api-server" \
 && printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' > /out/passwd \
 && printf 'nonroot:x:65532:\n' > /out/group

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/passwd /out/group /etc/
COPY LICENSE NOTICE /licenses/
USER 65532:65532
LABEL org.opencontainers.image.version="0.1.0" org.opencontainers.image.licenses="Apache-2.0"

FROM base AS arxiv-operator
LABEL org.opencontainers.image.title="arxiv-operator"
COPY --from=build /out/arxiv-operator /arxiv-operator
ENTRYPOINT ["/arxiv-operator"]

FROM base AS arxiv-api-server
LABEL org.opencontainers.image.title="arxiv-api-server"
COPY --from=build /out/arxiv-api-server /arxiv-api-server
ENTRYPOINT ["/arxiv-api-server"]

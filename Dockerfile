# The images of `cargo xtask images`, for people with Docker:
#   docker build --target arxiv-operator   -t arxiv-operator:0.1.0 .
#   docker build --target arxiv-api-server -t arxiv-api-server:0.1.0 .
# Static programs on nothing: no shell, no package manager, a user that is not root.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# glibc is linked in whole; see crates/images/src/programs.rs.
ENV RUSTFLAGS="-Ctarget-feature=+crt-static --remap-path-prefix=/usr/local/cargo=/cargo --remap-path-prefix=/source=/source"
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

FROM base AS arxiv-operator
COPY --from=build /out/arxiv-operator /arxiv-operator
ENTRYPOINT ["/arxiv-operator"]

FROM base AS arxiv-api-server
COPY --from=build /out/arxiv-api-server /arxiv-api-server
ENTRYPOINT ["/arxiv-api-server"]

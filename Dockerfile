# The command wechatpay, as a sandbox on port 8080: docker build -t wechatpay . && docker run --rm -p 127.0.0.1:8080:8080 wechatpay
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo install --locked --path crates/wechatpay-cli --root /built

FROM debian:bookworm-slim
COPY --from=build /built/bin/wechatpay /usr/local/bin/wechatpay
RUN useradd --create-home sandbox && install -d -o sandbox /box
USER sandbox
# Keys, ca.pem, sandbox.env and HOWTO.md; mount it to keep them or to read them from outside.
VOLUME /box
EXPOSE 8080
ENTRYPOINT ["wechatpay"]
# The port is forwarded, so that every caller seems to be another machine.
CMD ["sandbox", "--listen", "0.0.0.0:8080", "--dir", "/box", "--allow-remote", "--allow-remote-control"]

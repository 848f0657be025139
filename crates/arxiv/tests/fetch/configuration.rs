//! Proxy, certificates, and settings that cannot work.

use std::io::Write;
use std::sync::Arc;

use arxiv::{Client, ClientSettings, FetchError};
use url::Url;

use crate::server::{self, Server, response};
use crate::{fetch, fetch_all, good, settings};

#[tokio::test]
async fn proxy_is_used_for_every_request() {
    let proxy = Server::answering(good());
    let mut url = proxy.url();
    url.set_username("u").unwrap();
    url.set_password(Some("secret")).unwrap();
    let base = "http://arxiv.invalid/api/query".parse().unwrap();
    let client = Client::new(ClientSettings {
        proxy: Some(url),
        ..settings(base)
    })
    .unwrap();
    assert_eq!(fetch_all(&client).await.unwrap().feed.total, 1234);
    let head = &proxy.heads()[0];
    assert!(
        head.starts_with("GET http://arxiv.invalid/api/query?search_query="),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("proxy-authorization: basic "),
        "{head}"
    );
    assert_eq!(proxy.open(), 0);
}

/// A server with a certificate of its own for 127.0.0.1, and the certificate.
fn secure_server() -> (Server, String) {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
    let config = Arc::new(config);
    let server = Server::start_raw(Arc::default(), move |stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        if !server::read_head(&mut stream).is_empty() {
            let _ = stream.write_all(&good());
        }
    });
    (server, pem)
}

#[tokio::test]
async fn redirect_to_https_is_followed_when_the_certificate_is_trusted() {
    let (secure, pem) = secure_server();
    let location = format!("Location: https://{}/api/query\r\n", secure.address());
    let server = Server::answering(response("301 Moved", &location, ""));

    let error = fetch(server.url()).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");

    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), pem).unwrap();
    let settings = ClientSettings {
        ca_bundle: Some(bundle.path().into()),
        ..settings(server.url())
    };
    let answer = fetch_all(&Client::new(settings).unwrap()).await.unwrap();
    assert_eq!(answer.feed.total, 1234);
}

#[test]
fn invalid_settings_are_errors() {
    let base: Url = "http://arxiv.invalid/".parse().unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let cases = [
        (
            ClientSettings {
                ca_bundle: Some(empty.path().into()),
                ..settings(base.clone())
            },
            "the CA bundle has no readable certificates",
        ),
        (
            ClientSettings {
                ca_bundle: Some("/nowhere".into()),
                ..settings(base.clone())
            },
            "the CA bundle cannot be read",
        ),
        (
            ClientSettings {
                contact: Some("a\nb".into()),
                ..settings(base)
            },
            "the contact has characters that cannot be sent in a User-Agent",
        ),
    ];
    for (settings, text) in cases {
        assert_eq!(
            Client::new(settings)
                .err()
                .map(|error| error.to_string())
                .as_deref(),
            Some(text)
        );
    }
}

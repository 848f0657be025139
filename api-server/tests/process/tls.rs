//! The API over TLS: its certificate changes while clients use it, and clients that do not finish a handshake hold up nobody.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Certificate;
use testbed::{
    TempDir,
    test_env::{LIMIT, ServerOnly, eventually, http_client},
};
use tokio::task::JoinSet;

use crate::{NOWHERE, slow_clients::allow_many_files};

/// A folder as the kubelet makes it: files by way of a link that is swapped.
pub(crate) struct CertificateFiles {
    folder: TempDir,
}

/// An authority of certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for 127.0.0.1, and its key.
    pub(crate) fn issue(&self) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        [
            params.signed_by(&key, &self.0).unwrap().pem(),
            key.serialize_pem(),
        ]
    }

    /// A client that trusts this authority alone, with a new connection for each request.
    pub(crate) fn client(&self) -> reqwest::Client {
        let client = trusting(&[self]).pool_max_idle_per_host(0);
        client.build().unwrap()
    }

    /// A client that trusts these authorities alone.
    pub(crate) fn client_of(authorities: &[&Self]) -> reqwest::Client {
        trusting(authorities).build().unwrap()
    }
}

fn trusting(authorities: &[&Authority]) -> reqwest::ClientBuilder {
    // Installs the crypto provider.
    let _ = http_client();
    let root = |authority: &&Authority| Certificate::from_pem(authority.0.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT);
    client.tls_certs_only(authorities.iter().map(root))
}

impl CertificateFiles {
    pub(crate) fn new(pair: &[String; 2]) -> Self {
        let files = Self {
            folder: TempDir::new("certificate").unwrap(),
        };
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), files.path(name)).unwrap();
        }
        files.swap(pair);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Both files change at once.
    pub(crate) fn swap(&self, [certificate, key]: &[String; 2]) {
        let versions = fs::read_dir(self.folder.path()).unwrap().count();
        let version = self.path(&format!("..{versions}"));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("tls.crt"), certificate).unwrap();
        fs::write(version.join("tls.key"), key).unwrap();
        let link = self.path("..data_tmp");
        symlink(&version, &link).unwrap();
        fs::rename(link, self.path("..data")).unwrap();
    }
}

async fn server(files: &CertificateFiles) -> ServerOnly {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| files.path(name).display().to_string());
    let settings = [
        ("SERVE", "results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("TLS_CERT_FILE", certificate.as_str()),
        ("TLS_KEY_FILE", key.as_str()),
    ];
    ServerOnly::start(&settings).listening().await
}

fn url(server: &ServerOnly, path: &str) -> String {
    server.url(path).replace("http://", "https://")
}

async fn get(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

fn value(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let mut found = lines.filter(|(series, _)| *series == name);
    found.next().unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_changes_is_served_to_new_connections_and_no_request_fails() {
    let (first, second) = (Authority::new(), Authority::new());
    let files = CertificateFiles::new(&first.issue());
    let api = server(&files).await;
    let (health, metrics) = (url(&api, "/healthz"), url(&api, "/metrics"));
    let (of_first, of_second) = (first.client(), second.client());
    // A connection that stays open over all changes.
    let kept = Authority::client_of(&[&first]);
    get(&kept, &health).await.unwrap();
    assert!(get(&of_second, &health).await.is_err(), "it is not trusted yet");
    let answer = of_first.get(&health).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_11);
    // Somebody speaks plain HTTP: nobody else notices.
    let _ = http_client().get(api.url("/healthz")).send().await.unwrap_err();

    // Requests of clients that trust both, all the time.
    let both =
        [&first, &second].map(|authority| Certificate::from_pem(authority.0.pem().as_bytes()).unwrap());
    let both = reqwest::Client::builder()
        .no_proxy()
        .timeout(LIMIT)
        .tls_certs_only(both)
        .pool_max_idle_per_host(0);
    let both = both.build().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut load = JoinSet::new();
    for _ in 0..2 {
        let (client, stopped, health) = (both.clone(), stopped.clone(), health.clone());
        load.spawn(async move {
            let mut answered = 0_u32;
            while !*stopped.borrow() {
                get(&client, &health).await.unwrap();
                answered += 1;
            }
            answered
        });
    }

    // A key of another certificate: the earlier pair stays, the log and a metric tell.
    let [_, foreign_key] = second.issue();
    let [certificate, _] = first.issue();
    files.swap(&[certificate, foreign_key]);
    let refused = "arxiv_api_server_tls_certificate_refused";
    eventually("the broken pair is reported", async || {
        let text = get(&of_first, &metrics).await.unwrap();
        (value(&text, refused) > 0.5).then_some(())
    })
    .await;
    let log = fs::read_to_string(api.child.log()).unwrap();
    assert_eq!(
        log.matches("the new certificate cannot be used").count(),
        1,
        "{log}"
    );

    files.swap(&second.issue());
    eventually("the new certificate is served", async || {
        get(&of_second, &health).await.ok()
    })
    .await;
    // A client of before may resume its session; another one sees the new certificate.
    assert!(get(&first.client(), &health).await.is_err());
    get(&kept, &health).await.unwrap();
    let not_after = "arxiv_api_server_tls_certificate_not_after_timestamp_seconds";
    eventually("the metrics tell", async || {
        let text = get(&of_second, &metrics).await.unwrap();
        (value(&text, refused) < 0.5 && value(&text, not_after) > 1e9).then_some(())
    })
    .await;
    stop.send(true).unwrap();
    while let Some(answered) = load.join_next().await {
        assert!(answered.unwrap() > 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_finish_no_handshake_hold_up_nobody_and_are_left() {
    allow_many_files();
    let authority = Authority::new();
    let files = CertificateFiles::new(&authority.issue());
    let api = server(&files).await;
    let silent: Vec<TcpStream> = (0..1100)
        .map(|_| TcpStream::connect(("127.0.0.1", api.port.number())).unwrap())
        .collect();
    let client = authority.client();
    get(&client, &url(&api, "/healthz")).await.unwrap();
    eventually("all are closed", async || {
        let text = get(&client, &url(&api, "/metrics")).await.unwrap();
        (value(&text, "arxiv_api_server_connections") < 10.0).then_some(())
    })
    .await;
    drop(silent);
}

#[tokio::test]
async fn certificate_that_cannot_be_used_ends_the_process_at_the_start() {
    let authority = Authority::new();
    let [certificate, _] = authority.issue();
    let [_, key] = authority.issue();
    let files = CertificateFiles::new(&[certificate, key]);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| files.path(name).display().to_string());
    for (settings, problem) in [
        (
            vec![("TLS_CERT_FILE", certificate.as_str()), ("TLS_KEY_FILE", &key)],
            "the key does not fit",
        ),
        (
            vec![
                ("TLS_CERT_FILE", certificate.as_str()),
                ("TLS_KEY_FILE", "/nowhere"),
            ],
            "/nowhere cannot be read",
        ),
        (vec![("TLS_CERT_FILE", certificate.as_str())], "--tls-key-file"),
    ] {
        let mut all = vec![("SERVE", "results"), ("DATABASE_RO_URL", NOWHERE)];
        all.extend(settings);
        let api = ServerOnly::start(&all);
        let status = api.child.wait(Duration::from_secs(30)).await.unwrap();
        let log = api.child.log_tail();
        assert!(!status.success() && log.contains(problem), "{log}");
    }
}

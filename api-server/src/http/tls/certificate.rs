//! A certificate with its key, in files that may change: others write them, or the kubelet swaps a link.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

/// The longest file that is read: far above a chain of certificates.
const MAX_BYTES: u64 = 256 * 1024;

/// The files, and the certificate that is served.
pub(super) struct Certificate {
    files: [PathBuf; 2],
    state: Mutex<State>,
}

struct State {
    served: Arc<CertifiedKey>,
    /// Its end, in seconds since 1970.
    not_after: i64,
    /// What was read last.
    contents: Contents,
    /// How often it was found that this cannot be used.
    failures: u32,
}

/// What the files have, or why they cannot be read.
#[derive(Clone, PartialEq)]
struct Contents([Result<Vec<u8>, String>; 2]);

/// A pair that fits.
struct Pair {
    key: CertifiedKey,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads the files. One that is not valid at this time is reported, and served: clients decide.
    pub(super) fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let files = [certificate, key];
        let contents = Contents::read(&files);
        let pair = contents.pair()?;
        if let Err(error) = pair.check_time() {
            tracing::error!("TLS_CERT_FILE: {error}");
        }
        Ok(Self {
            files,
            state: Mutex::new(State {
                not_after: pair.not_after,
                served: Arc::new(pair.key),
                contents,
                failures: 0,
            }),
        })
    }

    pub(super) fn served(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.state().served)
    }

    pub(super) fn not_after(&self) -> i64 {
        self.state().not_after
    }

    /// Whether the files have changed to another pair, which is now served. An error, once for each change, if they have
    /// changed to something that cannot be used, and are the same when they are read the next time: then it was not read
    /// while it was being written.
    pub(super) fn reload(&self) -> anyhow::Result<bool> {
        let contents = Contents::read(&self.files);
        let mut state = self.state();
        let is_new = contents != state.contents;
        if !is_new && state.failures != 1 {
            return Ok(false);
        }
        let pair = contents.pair().and_then(|pair| {
            pair.check_time()?;
            Ok(pair)
        });
        state.contents = contents;
        match pair {
            Ok(pair) => {
                state.failures = 0;
                state.not_after = pair.not_after;
                state.served = Arc::new(pair.key);
                Ok(true)
            }
            Err(_) if is_new => {
                state.failures = 1;
                Ok(false)
            }
            Err(error) => {
                state.failures = 2;
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn read(files: &[PathBuf; 2]) -> Self {
        Self(files.each_ref().map(|file| read(file)))
    }

    fn pair(&self) -> anyhow::Result<Pair> {
        let [certificate, key] = self.0.each_ref().map(|file| match file {
            Ok(bytes) => Ok(bytes),
            Err(problem) => bail!("{problem}"),
        });
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate?)
            .collect::<Result<_, _>>()
            .context("the certificates cannot be read")?;
        let first = chain.first().context("the file has no certificate")?;
        let (_, parsed) = parse_x509_certificate(first).context("the certificate cannot be read")?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let key = PrivateKeyDer::from_pem_slice(key?).context("the key cannot be read")?;
        let provider = CryptoProvider::get_default().context("no TLS crypto provider is installed")?;
        let key =
            CertifiedKey::from_der(chain, key, provider).context("the key does not fit the certificate")?;
        Ok(Pair {
            key,
            not_before,
            not_after,
        })
    }
}

impl Pair {
    fn check_time(&self) -> anyhow::Result<()> {
        let now = Timestamp::now().as_second();
        ensure!(now <= self.not_after, "the certificate has expired");
        ensure!(self.not_before <= now, "the certificate is not valid yet");
        Ok(())
    }
}

/// A file, or why it cannot be read.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().map_err(|error| format!("{} cannot be read: {}", path.display(), error.kind()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate with this name and its key, valid until that year.
    fn pair(name: &str, until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn broken_pair_keeps_the_one_before_and_is_reported_once() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = std::env::temp_dir().join(format!("certificate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = [folder.join("tls.crt"), folder.join("tls.key")];
        let write = |certificate: &str, key: &str| {
            fs::write(&files[0], certificate).unwrap();
            fs::write(&files[1], key).unwrap();
        };
        let (first, second, expired) = (pair("a", 2200), pair("b", 2201), pair("c", 2021));
        write(&first.0, &first.1);
        let certificate = Certificate::open(files[0].clone(), files[1].clone()).unwrap();
        let [in_2200, in_2201] = [2200, 2201].map(|year| date_time_ymd(year, 1, 1).unix_timestamp());
        for (text, key, problem) in [
            (
                second.0.as_str(),
                first.1.as_str(),
                "the key does not fit the certificate",
            ),
            (&expired.0, &expired.1, "the certificate has expired"),
            ("", &first.1, "the file has no certificate"),
            (&first.0, "nothing", "the key cannot be read"),
        ] {
            write(text, key);
            assert!(
                !certificate.reload().unwrap(),
                "it may be being written: {problem}"
            );
            let error = certificate.reload().unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
            assert!(!certificate.reload().unwrap(), "once: {problem}");
            assert_eq!(certificate.not_after(), in_2200);
        }
        fs::remove_file(&files[1]).unwrap();
        assert!(!certificate.reload().unwrap());
        assert!(
            certificate
                .reload()
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        write(&second.0, &second.1);
        assert!(certificate.reload().unwrap());
        assert_eq!(certificate.not_after(), in_2201);
        // What cannot be used at the start ends the process, except for its time.
        write(&second.0, &first.1);
        assert!(Certificate::open(files[0].clone(), files[1].clone()).is_err());
        write(&expired.0, &expired.1);
        assert!(Certificate::open(files[0].clone(), files[1].clone()).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}

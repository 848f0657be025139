//! Signatures of Standard Webhooks (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// More are not needed to change a secret.
const MOST: usize = 5;

/// The secrets that a receiver knows: each event is signed with all of them, so that one can be replaced by the next.
pub struct Secrets(Vec<Vec<u8>>);

/// A text that cannot be used as secrets. It tells nothing of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// Empty.
    #[error("there is no secret in it")]
    None,
    /// Too many.
    #[error("there are more than {MOST} secrets in it")]
    TooMany,
    /// Not the form that the standard has. A text that is the password of something else is never used to sign.
    #[error(
        "a secret must be whsec_ and then {} to {} bytes in base64",
        LENGTHS.start(),
        LENGTHS.end()
    )]
    Form,
}

impl Secrets {
    /// Secrets with white space between them.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let secrets = text.split_whitespace().map(|secret| {
            let encoded = secret.strip_prefix(PREFIX).ok_or(SecretError::Form)?;
            let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
            if LENGTHS.contains(&key.len()) {
                Ok(key)
            } else {
                Err(SecretError::Form)
            }
        });
        let secrets = secrets.take(MOST + 1).collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err(SecretError::None),
            count if count > MOST => Err(SecretError::TooMany),
            _ => Ok(Self(secrets)),
        }
    }

    /// The value of `webhook-signature` for a message: one signature for each secret. `timestamp`: unix seconds.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures = self.0.iter().filter_map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
            Some(format!("v1,{signature}"))
        });
        let signatures: Vec<_> = signatures.collect();
        signatures.join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification and its libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signature_is_that_of_the_standard_for_each_secret() {
        let other = format!("{PREFIX}{}", BASE64_STANDARD.encode([7; 32]));
        let sign = |text: &str| {
            Secrets::parse(text)
                .unwrap()
                .sign(ID, 1_614_265_330, br#"{"test": 2432232314}"#)
        };
        assert_eq!(sign(SECRET), SIGNATURE);
        let both = sign(&format!("{other}\n{SECRET} \n"));
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&format!(" {SIGNATURE}")), "{both}");
        assert_eq!(both, format!("{} {SIGNATURE}", sign(&other)));
    }

    #[test]
    fn text_that_is_no_secret_of_the_standard_is_refused_and_not_shown() {
        let of = |bytes: usize| format!("{PREFIX}{}", BASE64_STANDARD.encode(vec![1; bytes]));
        let six = [SECRET; 6].join(" ");
        for (text, expected) in [
            ("", Some(SecretError::None)),
            (" \n", Some(SecretError::None)),
            ("hunter2", Some(SecretError::Form)),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Some(SecretError::Form)),
            ("whsec_!", Some(SecretError::Form)),
            (&of(23), Some(SecretError::Form)),
            (&of(24), None),
            (&of(64), None),
            (&of(65), Some(SecretError::Form)),
            (&six, Some(SecretError::TooMany)),
        ] {
            assert_eq!(Secrets::parse(text).err(), expected, "{text}");
        }
        assert_eq!(
            format!("{:?}", Secrets::parse(SECRET)),
            "Ok(Secrets(1))",
            "never logged"
        );
    }
}

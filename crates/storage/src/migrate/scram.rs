//! Passwords as Postgres stores them: the server is given the SCRAM-SHA-256 secret (RFC 5802, RFC 7677), so that the password
//! itself is in no statement, and so in no log of the server.

use sha2::{Digest, Sha256};

/// As Postgres has it (`scram_iterations`).
const ITERATIONS: u32 = 4096;
/// SHA-256's block, which HMAC fills up to.
const BLOCK: usize = 64;

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, as in `pg_authid.rolpassword`. None for a password that is
/// not plain ASCII: such ones are normalised (RFC 4013) first, which is the server's business.
pub(super) fn secret(password: &str, salt: [u8; 16]) -> Option<String> {
    if !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || password.is_empty() {
        return None;
    }
    let salted = salted(password.as_bytes(), &salt);
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    Some(format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        base64(&salt),
        base64(&stored),
        base64(&server)
    ))
}

/// PBKDF2 for one block (RFC 5802's `Hi`).
fn salted(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut last = hmac(password, &[salt, &1u32.to_be_bytes()].concat());
    let mut salted = last;
    for _ in 1..ITERATIONS {
        last = hmac(password, &last);
        for (sum, byte) in salted.iter_mut().zip(last) {
            *sum ^= byte;
        }
    }
    salted
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, n| {
            word << 8 | usize::from(chunk.get(n).copied().unwrap_or(0))
        });
        for n in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * n) & 63];
            text.push(if n > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// RFC 7677's example: the server's signature there is HMAC(server key, exchange).
    #[test]
    fn as_in_the_rfc() {
        let salt = [
            0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
        ];
        assert_eq!(base64(&salt), "W22ZaJ0SNY7soEsUEjb6gQ==");
        let exchange = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = hmac(&salted(b"pencil", &salt), b"Server Key");
        let signature = hmac(&server, exchange.as_bytes());
        assert_eq!(base64(&signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let secret = secret("pencil", salt).unwrap();
        assert!(
            secret.ends_with(&base64(&server)) && secret.starts_with("SCRAM-SHA-256$4096:W22Z"),
            "{secret}"
        );
    }

    #[test]
    fn only_plain_passwords() {
        assert_eq!(secret("árvíz", [0; 16]), None);
        assert_eq!(secret("", [0; 16]), None);
        assert_eq!(secret("a\nb", [0; 16]), None);
    }
}

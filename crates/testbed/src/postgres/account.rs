//! The user that Postgres runs as: it refuses to run as root.

use std::fs;

use anyhow::{Context, Result};

use crate::process::Account;

/// Nothing for an ordinary user; for root the user `postgres`, or `nobody` if there is none.
pub(super) fn to_run_as() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let found = entry(&passwd, "postgres").or_else(|| entry(&passwd, "nobody"));
    found
        .map(Some)
        .context("Postgres does not run as root, and there is no user postgres or nobody")
}

fn entry(passwd: &str, user: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some(Account {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_its_whole_name() {
        let passwd =
            "postgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(entry(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(entry(passwd, "nobody"), None);
    }
}

//! libpq's connection strings: `host=… port=… dbname='…'`.
//! Source: PostgreSQL documentation, "Keyword/Value Connection Strings".

use std::collections::BTreeMap;

use super::database::{DEFAULT_PORT, join};

/// The URL with the same meaning as the keywords. Keywords that are no part of a URL become its parameters. An error
/// repeats no value.
pub(super) fn to_url(text: &str) -> Result<String, String> {
    let mut pairs = parse(text)?;
    let host = pairs.remove("host").or_else(|| pairs.remove("hostaddr"));
    let host = host.ok_or("has no host")?;
    let user = pairs.remove("user").ok_or("has no user")?;
    let database = pairs.remove("dbname");
    let database = database.as_deref().unwrap_or(&user);
    let port = pairs.remove("port");
    let port = port.as_deref().unwrap_or(DEFAULT_PORT);
    let password = pairs.remove("password");
    let options: Vec<_> = pairs.into_iter().collect();
    Ok(join(&host, port, &user, password.as_deref(), database, &options))
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("is not of the form keyword=value")?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("is not of the form keyword=value".into());
        }
        let (value, after) = value(after.trim_start())?;
        pairs.insert(key.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// A value, quoted or not, in which `\` quotes the next character; and the rest of the text.
fn value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next().ok_or("ends with a backslash")?.1),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &body[at..])),
            other => value.push(other),
        }
    }
    if quoted {
        Err("has a quote that is not closed".into())
    } else {
        Ok((value, ""))
    }
}
